//! ADDRESS_FILTER and PORT_FILTER: two small arrays that rule out most non-Service packets before any hash lookup. They never
//! rule out a packet of a Service. A packet that they let through needlessly costs one hash lookup.

use crate::{addr::Address, protocol::Protocol};

/// Number of entries of each filter.
pub const FILTER_LENGTH: usize = 1 << 16;

/// Bits of ADDRESS_FILTER: what may have one of the addresses that share an entry.
pub struct AddressClass;

impl AddressClass {
    /// An address of this node. It receives packets to node ports, and replies to what was sent from it.
    pub const NODE: u8 = 1;
    /// A frontend's address, an address that a Service owns, or part of a ServiceCIDR.
    pub const SERVICE: u8 = 2;
    /// A backend on this node, whose replies are translated back.
    pub const LOCAL_BACKEND: u8 = 4;
    /// A backend on any node. Source translation may send to it from this node's address.
    pub const ANY_BACKEND: u8 = 8;
    /// Set for all addresses or for none. Rules of policy routing may route a backend's reply differently from a packet that
    /// comes from the frontend's address.
    pub const RULES: u8 = 16;
}

/// Bits of PORT_FILTER: what a destination port on this node may be.
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
    /// A port that a Service serves at an address of its own, with any protocol. Packets that leave from such an address and port
    /// are noted (`foreign.rs`).
    pub const SERVICE: u8 = 16;
    /// Together with SNAT: a port that sockets of the host may use, too. It is taken only if no socket has it for the same peer.
    pub const SHARED: u8 = 32;

    /// A node port of any protocol.
    pub const NODE_PORT: u8 = Self::TCP | Self::UDP | Self::SCTP;

    /// The node port bit of an IANA protocol number; 0 for a protocol that is not one of Services.
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

/// The index of an address in ADDRESS_FILTER: its first 16 bits (IPv4), or a hash of its first 64 (IPv6).
#[inline(always)]
pub const fn filter_index(address: &Address) -> usize {
    let words = address.words();
    if address.is_ipv4() { (u32::from_be(words[3]) >> 16) as usize } else { prefix_index(words[0], words[1]) }
}

/// The index in ADDRESS_FILTER of an IPv6 address by its first two words, in network byte order.
#[inline(always)]
pub const fn prefix_index(first: u32, second: u32) -> usize {
    let mixed = (first ^ second.rotate_left(15)).wrapping_mul(0x9e37_79b1);
    (mixed >> 16) as usize
}
