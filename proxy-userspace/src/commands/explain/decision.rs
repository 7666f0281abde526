//! What `proxy_common::decide` decides about a new connection, step by step, in the order in which the programs decide. Pure.

use proxy_common::{
    Address, Frontend, List, Service, SlotRange, Verdict,
    decide::{self, Maps},
    filter::AddressClass,
};

/// By which hook a new connection is decided about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By a socket hook, when a process calls connect(2), sendto(2) or sendmsg(2).
    Socket {
        /// The process is in the node's own network namespace.
        is_node: bool,
    },
    /// By a hook of a device, for the first packet.
    Packet {
        /// The client is on this node (S17).
        internal: bool,
        /// A process of this node sends it, and it is seen where it leaves.
        is_own: bool,
        /// The bits of the destination in ADDRESS_FILTER.
        class: u8,
        /// PORT_FILTER says that the destination port may be a node port.
        is_node_port: bool,
    },
}

impl Way {
    /// Whether the client gets the list for clients on this node.
    pub const fn is_internal(self) -> bool {
        match self {
            Self::Socket { .. } => true,
            Self::Packet { internal, .. } => internal,
        }
    }
}

/// The decision about a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The service that is dialled, and the key of its frontend in SERVICES, or why there is none.
    pub service: Result<(Frontend, Service), Verdict>,
    /// Whether the source ranges admit the client. Valid only if there is a service.
    pub admission: Result<(), Verdict>,
    /// The slots of the list that the client gets. An error if the connection is refused or passes.
    pub list: Result<(SlotRange, List), Verdict>,
}

/// Decides about a new connection of `client` to what it dials.
pub fn decide(maps: &impl Maps, client: &Address, dialled: &Frontend, way: Way) -> Decision {
    let service = match lookup(maps, dialled, way) {
        Ok(service) => service,
        Err(verdict) => return Decision { service: Err(verdict), admission: Ok(()), list: Err(verdict) },
    };
    let admission = match way {
        Way::Socket { is_node } => decide::check_socket(&service, || is_node),
        Way::Packet { .. } => decide::check_client(maps, &service, client),
    };
    Decision {
        service: Ok((key(maps, dialled, &service), service)),
        admission,
        list: admission.and_then(|()| decide::select_list(&service, way.is_internal())),
    }
}

fn lookup(maps: &impl Maps, dialled: &Frontend, way: Way) -> Result<Service, Verdict> {
    match way {
        Way::Socket { is_node } => {
            let dialled = Frontend { address: dialled.address.or_loopback(), ..*dialled };
            decide::lookup_service(maps, &dialled, AddressClass::SERVICE, || is_node)
        }
        Way::Packet { is_own, class, is_node_port, .. } => {
            let may_be_service = class & AddressClass::SERVICE != 0;
            let is_seen = if is_own {
                may_be_service && decide::is_owned(maps, dialled.address)
            } else {
                may_be_service || class & AddressClass::NODE != 0 && is_node_port
            };
            if is_seen { decide::lookup_service(maps, dialled, class, || false) } else { Err(Verdict::Pass) }
        }
    }
}

/// The key of a frontend: the dialled address, or the wildcard of node ports.
fn key(maps: &impl Maps, dialled: &Frontend, service: &Service) -> Frontend {
    let is_exact = maps.service(dialled).is_some_and(|found| found == *service);
    if is_exact { *dialled } else { Frontend { address: dialled.address.any(), ..*dialled } }
}

/// The backends in a range of slots: their ids, and of how many slots each has how many. Damaged slots are left out.
pub fn shares(maps: &impl Maps, range: SlotRange) -> Vec<(decide::Selected, u32)> {
    let mut shares: Vec<(decide::Selected, u32)> = Vec::new();
    let slots = range.offset..range.offset.saturating_add(range.length);
    let found = slots.filter_map(|slot| decide::get_backend(maps, maps.slot(slot)?));
    for selected in found {
        match shares.iter_mut().find(|(other, _)| other.id == selected.id) {
            Some((_, share)) => *share += 1,
            None => shares.push((selected, 1)),
        }
    }
    shares
}
