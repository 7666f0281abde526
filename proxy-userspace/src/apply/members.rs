//! Whom flows and clients of a service port may stay with: MEMBERS, and the ids of backends that only flows of before know.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use proxy_common::{List, Member, Protocol};

use super::{ApplyError, Dataplane, reclaim::Retired, refused};
use crate::desired::{PortEntry, PortId};

/// The lists' bits by backend.
pub(super) type Memberships = BTreeMap<SocketAddr, u32>;

/// Who must be in MEMBERS: only where something remembers a backend (affinity, UDP flows).
pub(super) fn memberships(id: &PortId, entry: &PortEntry) -> Memberships {
    let mut members = Memberships::new();
    let mut add = |backends: &BTreeMap<List, Vec<SocketAddr>>, bit: fn(u32) -> u32| {
        for (list, backends) in backends {
            for backend in backends {
                *members.entry(*backend).or_default() |= bit(list.bit());
            }
        }
    };
    let is_udp = id.port.protocol == Protocol::Udp;
    if is_udp || entry.affinity_timeout != 0 {
        add(&entry.lists, |bit| bit);
    }
    if is_udp {
        add(&entry.draining, List::draining);
    }
    members
}

/// The backends that flows of some list may not stay with any more.
pub(super) fn left<'a>(old: &'a Memberships, new: &'a Memberships) -> impl Iterator<Item = SocketAddr> + 'a {
    let lists = [List::Cluster, List::Local].map(|list| List::staying(list.bit()));
    let left = move |(backend, before): (&SocketAddr, &u32)| {
        let now = new.get(backend).copied().unwrap_or(0);
        lists.iter().any(|list| before & list != 0 && now & list == 0).then_some(*backend)
    };
    old.iter().filter_map(left)
}

impl Dataplane {
    /// Lists the backends of `new` under every list that they are in, or were in according to `old`.
    pub(super) fn add_members(&mut self, service: u32, old: &Memberships, new: &Memberships) -> Result<(), ApplyError> {
        for (address, lists) in new {
            let Some(backend) = self.backends.id(*address) else { continue };
            let lists = lists | old.get(address).copied().unwrap_or(0);
            let write = self.maps.members.insert(Member { service, backend }, lists, 0);
            write.map_err(|error| refused("MEMBERS", "--max-members", error))?;
        }
        Ok(())
    }

    pub(super) fn remove_members<'a>(&mut self, service: u32, backends: impl Iterator<Item = &'a SocketAddr>) {
        for backend in backends.filter_map(|backend| self.backends.id(*backend)) {
            // Absent is as good as removed.
            let _ = self.maps.members.remove(&Member { service, backend });
        }
    }

    /// Lets the draining backends of a port keep the ids that they have: its flows know them by these. Those that are gone
    /// lose them.
    pub(super) fn hold(&mut self, id: &PortId, entry: &PortEntry, retired: &mut Retired) {
        let Some(port) = self.ports.get_mut(id) else { return };
        let draining: BTreeSet<SocketAddr> = entry.draining.values().flatten().copied().collect();
        let before = std::mem::take(&mut port.held);
        for backend in draining {
            if !before.contains(&backend) {
                // Nobody has a flow to one that has no id.
                if !self.backends.hold(backend) {
                    continue;
                }
                self.filters.put_asked(&mut self.maps.filters, backend.ip());
            }
            port.held.insert(backend);
        }
        let gone: Vec<SocketAddr> = before.difference(&port.held).copied().collect();
        self.release_backends(gone.iter(), retired);
    }
}
