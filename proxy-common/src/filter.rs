//! ADDRESS_FILTER and PORT_FILTER: two small arrays that rule out most packets of no Service before any hash lookup.
//! They never rule out a packet of a Service; letting another one through costs one hash lookup.

use crate::{addr::Address, protocol::Protocol};

/// Number of entries of each filter.
pub const FILTER_LENGTH: usize = 1 << 16;

/// What may lie at addresses that share an entry of ADDRESS_FILTER.
pub struct AddressClass;

impl AddressClass {
    /// An address of this node: node ports, and replies to what was sent in its name.
    pub const NODE: u8 = 1;
    /// A frontend's address, an address that a Service owns, or part of a ServiceCIDR.
    pub const SERVICE: u8 = 2;
    /// A backend on this node, whose replies are translated back.
    pub const BACKEND: u8 = 4;
    /// A backend, wherever it is: source translation may send to it from this node's address.
    pub const ASKED: u8 = 8;
    /// Everywhere or nowhere: rules of policy routing may give a backend's replies another way out of this node than what
    /// comes from the frontend's address has.
    pub const RULES: u8 = 16;
}

/// What a destination port on this node may be.
pub struct PortClass;

impl PortClass {
    /// A TCP node port.
    pub const TCP: u8 = 1;
    /// A UDP node port.
    pub const UDP: u8 = 2;
    /// An SCTP node port.
    pub const SCTP: u8 = 4;
    /// A port that source translation may use: not a node port, nor one of the host's ephemeral ports as long as there are
    /// enough others.
    pub const SNAT: u8 = 8;
    /// A port that a Service serves at an address of its own, by any protocol: packets that leave from there are noted
    /// (`foreign.rs`).
    pub const SERVICE: u8 = 16;
    /// With SNAT: a port that sockets of the host may have, too. It is used only where none has it for the same peer.
    pub const SHARED: u8 = 32;

    /// A node port of any protocol.
    pub const NODE_PORT: u8 = Self::TCP | Self::UDP | Self::SCTP;

    /// The node port bit of an IANA protocol number; 0 for a protocol that Services don't know.
    #[inline(always)]
    pub const fn of_protocol(protocol: u8) -> u8 {
        const TCP: u8 = Protocol::Tcp as u8;
        const UDP: u8 = Protocol::Udp as u8;
        const SCTP: u8 = Protocol::Sctp as u8;
        match protocol {
            TCP => Self::TCP,
            UDP => Self::UDP,
            SCTP => Self::SCTP,
            _ => 0,
        }
    }
}

/// The entry of an address: its first 16 bits (IPv4), or a hash of its first 64 (IPv6).
#[inline(always)]
pub const fn filter_index(address: &Address) -> usize {
    let words = address.words();
    if address.is_ipv4() { (u32::from_be(words[3]) >> 16) as usize } else { prefix_index(words[0], words[1]) }
}

/// The entry of an IPv6 address whose first two words, in network byte order, are these.
#[inline(always)]
pub const fn prefix_index(first: u32, second: u32) -> usize {
    let mixed = (first ^ second.rotate_left(15)).wrapping_mul(0x9e37_79b1);
    (mixed >> 16) as usize
}
