//! The state that only few service ports have.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use ipnet::IpNet;
use proxy_common::{Frontend, SlotRange};

use super::{members::Memberships, port::Port};
use crate::desired::BackendList;

/// The state that only few ports have, boxed to save memory: there are tens of thousands of ports, and an empty collection takes
/// 24 bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PortExtras {
    /// Frontends whose entries are not up to date, because a write was refused.
    pub(super) outdated: BTreeSet<Frontend>,
    /// Former lists: their slots, which entries may still name, and their backends.
    pub(super) former: Vec<(SlotRange, BackendList)>,
    /// Draining backends that keep their ids for this port.
    pub(super) held: BTreeSet<SocketAddr>,
    /// Backends that are on this node according to this port.
    pub(super) local: BTreeSet<SocketAddr>,
    /// The port's prefixes in SOURCE_RANGES.
    pub(super) sources: BTreeSet<IpNet>,
    /// The port's entries in MEMBERS.
    pub(super) members: Memberships,
}

/// How many entries all ports have in maps of which most ports need none. Counted here because visiting every port takes long.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ExtraEntries {
    /// In MEMBERS.
    pub(super) members: usize,
    /// In SOURCE_RANGES.
    pub(super) sources: usize,
}

impl Port {
    /// Returns the port's extras, which may be empty.
    pub(super) fn extras(&self) -> &PortExtras {
        static NOTHING: PortExtras = PortExtras {
            outdated: BTreeSet::new(),
            former: Vec::new(),
            held: BTreeSet::new(),
            local: BTreeSet::new(),
            sources: BTreeSet::new(),
            members: BTreeMap::new(),
        };
        self.extras.as_deref().unwrap_or(&NOTHING)
    }

    /// Returns the port's extras for a change, and allocates them if there are none.
    pub(super) fn extras_mut(&mut self) -> &mut PortExtras {
        self.extras.get_or_insert_default()
    }

    /// Frees the port's extras if they are empty.
    pub(super) fn trim(&mut self) {
        self.extras.take_if(|extras| **extras == PortExtras::default());
    }

    /// To be called when a frontend's entry is up to date, or not this port's any more.
    pub(super) fn forget_outdated(&mut self, frontend: &Frontend) {
        if let Some(extras) = &mut self.extras {
            extras.outdated.remove(frontend);
        }
    }
}
