//! The form of headers in a packet: fields in network byte order, aligned to two bytes, as Ethernet leaves them. No logic beyond
//! reading bit fields.

/// Ethernet II.
#[repr(C, packed(2))]
#[derive(Clone, Copy)]
pub struct Ethernet {
    pub destination: [u16; 3],
    pub source: [u16; 3],
    pub ether_type: u16,
}

/// One VLAN tag (IEEE 802.1Q), as it follows the ether type 0x8100 or 0x88a8.
#[repr(C, packed(2))]
#[derive(Clone, Copy)]
pub struct Vlan {
    pub tag: u16,
    pub ether_type: u16,
}

/// IPv4 without options (RFC 791).
#[repr(C, packed(2))]
#[derive(Clone, Copy)]
pub struct Ipv4 {
    pub version_length: u8,
    pub tos: u8,
    pub total_length: u16,
    pub identification: u16,
    pub fragment: u16,
    pub ttl: u8,
    pub protocol: u8,
    pub checksum: u16,
    pub source: u32,
    pub destination: u32,
}

/// The end of an IPv4 header, which translation changes.
#[repr(C, packed(2))]
#[derive(Clone, Copy)]
pub struct Ipv4End {
    pub ttl: u8,
    pub protocol: u8,
    pub checksum: u16,
    pub addresses: [u32; 2],
}

impl Ipv4 {
    pub const LENGTH: usize = 20;
    /// Bits of `fragment`, host byte order: more fragments follow; the offset.
    pub const MORE_FRAGMENTS: u16 = 0x2000;
    pub const FRAGMENT_OFFSET: u16 = 0x1fff;
}

/// IPv6 (RFC 8200).
#[repr(C, packed(2))]
#[derive(Clone, Copy)]
pub struct Ipv6 {
    pub version_class_flow: u32,
    pub payload_length: u16,
    pub next_header: u8,
    pub hop_limit: u8,
    pub source: [u32; 4],
    pub destination: [u32; 4],
}

impl Ipv6 {
    pub const LENGTH: usize = 40;
}

/// Source and destination of an IPv6 header.
#[repr(C, packed(2))]
#[derive(Clone, Copy)]
pub struct Ipv6Addresses(pub [[u32; 4]; 2]);

/// The first eight bytes of an IPv6 extension header. A fragment header is no longer than that.
#[repr(C, packed(2))]
#[derive(Clone, Copy)]
pub struct Extension {
    pub next_header: u8,
    /// Length beyond the first eight bytes, in units of eight. 0 in a fragment header.
    pub length: u8,
    /// Offset and "more" bit of a fragment header.
    pub fragment: u16,
    /// Identification of a fragment header.
    pub identification: u32,
}

/// The first four bytes of TCP, UDP and SCTP.
#[repr(C, packed(2))]
#[derive(Clone, Copy)]
pub struct Ports {
    pub source: u16,
    pub destination: u16,
}

/// TCP without options (RFC 9293).
#[repr(C, packed(2))]
#[derive(Clone, Copy)]
pub struct Tcp {
    pub ports: Ports,
    pub sequence: u32,
    pub acknowledgment: u32,
    pub offset: u8,
    pub flags: u8,
    pub window: u16,
    pub checksum: u16,
    pub urgent: u16,
}

/// UDP (RFC 768).
#[repr(C, packed(2))]
#[derive(Clone, Copy)]
pub struct Udp {
    pub ports: Ports,
    pub length: u16,
    pub checksum: u16,
}

/// The common header of SCTP and the beginning of the first chunk (RFC 9260).
#[repr(C, packed(2))]
#[derive(Clone, Copy)]
pub struct Sctp {
    pub ports: Ports,
    pub verification: u32,
    pub checksum: u32,
    pub chunk: u8,
    pub chunk_flags: u8,
    pub chunk_length: u16,
}

/// The beginning of an INIT or INIT ACK chunk after the chunk's header (RFC 9260 §3.3.2).
#[repr(C, packed(2))]
#[derive(Clone, Copy)]
pub struct Initiate {
    pub tag: u32,
}

/// ICMP and ICMPv6 (RFC 792, RFC 4443).
#[repr(C, packed(2))]
#[derive(Clone, Copy)]
pub struct Icmp {
    pub kind: u8,
    pub code: u8,
    pub checksum: u16,
    /// Identifier and sequence number of an echo, MTU of a "too big" error, else unused.
    pub rest: u32,
}

/// Ether types, host byte order.
pub const ETHER_IPV4: u16 = 0x0800;
pub const ETHER_IPV6: u16 = 0x86dd;
pub const ETHER_VLAN: u16 = 0x8100;
pub const ETHER_VLAN_OUTER: u16 = 0x88a8;
