//! What few service ports have beside lists and frontends.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use ipnet::IpNet;
use proxy_common::{Frontend, SlotRange};

use super::{members::Memberships, port::Port};

/// What few ports have. There are tens of thousands of ports, and an empty collection takes 24 bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rare {
    /// Frontends whose entries are not up to date.
    pub(super) outdated: BTreeSet<Frontend>,
    /// What it had, with slots that an entry may still name.
    pub(super) former: Vec<(SlotRange, Vec<SocketAddr>)>,
    /// Draining backends that keep their ids for it.
    pub(super) held: BTreeSet<SocketAddr>,
    /// Backends that it says are on this node.
    pub(super) local: BTreeSet<SocketAddr>,
    /// Its source ranges in the map.
    pub(super) sources: BTreeSet<IpNet>,
    /// Its members in the map.
    pub(super) members: Memberships,
}

impl Port {
    /// What it has of what few ports have.
    pub(super) fn rare(&self) -> &Rare {
        static NOTHING: Rare = Rare {
            outdated: BTreeSet::new(),
            former: Vec::new(),
            held: BTreeSet::new(),
            local: BTreeSet::new(),
            sources: BTreeSet::new(),
            members: BTreeMap::new(),
        };
        self.rare.as_deref().unwrap_or(&NOTHING)
    }

    /// The same, to change it.
    pub(super) fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Gives back what nothing is left of.
    pub(super) fn trim(&mut self) {
        self.rare.take_if(|rare| **rare == Rare::default());
    }

    /// This frontend's entry is up to date, or not this port's.
    pub(super) fn forget_outdated(&mut self, frontend: &Frontend) {
        if let Some(rare) = &mut self.rare {
            rare.outdated.remove(frontend);
        }
    }
}
