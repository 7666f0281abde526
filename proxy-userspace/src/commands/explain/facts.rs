//! What an explanation is made of, as plain values.

use std::net::SocketAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use proxy_common::{Address, ConntrackEntry, Frontend, Network, Protocol, decide::Selected, filter::PortClass};

use super::{
    client::{Client, Hop},
    decision::{Decision, Way},
    explanation::SourcePort,
    holders::Holder,
};
use crate::commands::get::{Clock, Name};

/// Everything that is known about a new connection.
pub struct Facts {
    /// The client.
    pub client: Client,
    /// What it dials.
    pub dialled: Frontend,
    /// The protocol.
    pub protocol: Protocol,
    /// How it is decided about.
    pub way: Way,
    /// The decision.
    pub decision: Decision,
    /// The names of the dialled service port; `None` if none is dialled.
    pub name: Option<Name>,
    /// When that port's backends or source ranges last changed; `None` if that is not known.
    pub changed: Option<Timestamp>,
    /// The Services that have the dialled address.
    pub holders: Vec<Holder>,
    /// The prefix of NETWORKS that the dialled address is in, and its meaning.
    pub network: Option<(IpNet, Network)>,
    /// The source ranges of the service.
    pub ranges: Vec<IpNet>,
    /// The backend that the client keeps.
    pub memory: Memory,
    /// The backends that the connection may get.
    pub candidates: Vec<Candidate>,
    /// The flow that packets of this client's port belong to already.
    pub flow: Option<ConntrackEntry>,
    /// The port that a packet made for the programs is from: the client's, or one that has no flow.
    pub probe_port: u16,
    /// The time of the look, by the clocks of the programs.
    pub clock: Clock,
    /// The time of the look.
    pub now: Timestamp,
    /// Where the kernel sends what is not a Service's.
    pub hop: Hop,
}

/// What is remembered of a client (S24).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// It has no backend yet.
    Nothing,
    /// By whom the client is known could not be found out.
    Unknown,
    /// It keeps this backend for some seconds more.
    Backend(SocketAddr, u32),
}

/// A backend, and the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The backend.
    pub selected: Selected,
    /// Its slots.
    pub slots: u32,
    /// The source that it sees.
    pub source: NewSource,
    /// The way of packets to it.
    pub hop: Hop,
}

/// The source of packets after translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewSource {
    /// The client's own address and port.
    Clients,
    /// This address of the node.
    Nodes(Address, SourcePort),
    /// The node has no address of the family.
    Missing,
}

/// An address and port of maps, in the form that people write.
pub fn at(address: Address, port: u16) -> SocketAddr {
    SocketAddr::new(address.into(), port)
}

/// What source translation does to a client's port, by the port's bits in PORT_FILTER, and by whether another flow has the port
/// for the backend already.
pub const fn source_port(class: Option<u8>, is_taken: bool) -> SourcePort {
    match class {
        None => SourcePort::KeptIfFree,
        Some(class) if class & PortClass::SNAT == 0 || is_taken => SourcePort::Replaced,
        Some(class) if class & PortClass::SHARED != 0 => SourcePort::KeptIfFree,
        Some(_) => SourcePort::Kept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_port_is_kept_if_it_may_be_used_and_is_free() {
        let shared = PortClass::SNAT | PortClass::SHARED;
        for (class, is_taken, expected) in [
            (None, false, SourcePort::KeptIfFree),
            (Some(PortClass::SNAT), false, SourcePort::Kept),
            (Some(PortClass::SNAT), true, SourcePort::Replaced),
            (Some(shared), false, SourcePort::KeptIfFree),
            (Some(PortClass::TCP), false, SourcePort::Replaced),
            (Some(0), false, SourcePort::Replaced),
        ] {
            assert_eq!(source_port(class, is_taken), expected, "{class:?} {is_taken}");
        }
    }
}
