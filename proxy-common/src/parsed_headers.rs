//! The parsed headers of a packet: filled in by the packet programs' stage *parse*, and passed on from stage to stage.

use crate::{
    conntrack::{Segment, TcpFlags, Tuple},
    family::Family,
    pod::pod,
};

pod! {
    /// The parsed headers. Offsets are `u16`, because the verifier loses the bounds of narrow numbers that are spilled to the
    /// stack, and so does not follow every combination of them.
    pub struct Headers: 64 {
        /// The packet's tuple. Ports are 0 until the transport header has been read.
        pub tuple: Tuple,
        /// Sequence number of TCP, or initiate tag of SCTP that opens an association; host byte order.
        pub sequence: u32,
        /// Acknowledgment number of TCP, host byte order.
        pub acknowledgment: u32,
        /// Identification of a fragment, in network byte order.
        pub identification: u32,
        network: u16,
        transport: u16,
        length: u16,
        /// TTL or hop limit.
        pub hop_limit: u8,
        /// [`TcpFlags`]. SCTP that may open an association has SYN. Other protocols have none.
        flags: u8,
        /// A [`Family`].
        family: u8,
        /// A [`Part`].
        part: u8,
        /// Bytes after the TCP header.
        payload: u16,
    }
}

/// The part of a packet that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Part {
    /// The whole packet.
    Whole = 0,
    /// The first fragment, which has the ports.
    First = 1,
    /// A later fragment.
    Later = 2,
}

/// IANA number of ICMP.
pub const ICMP: u8 = 1;
/// IANA number of ICMPv6.
pub const ICMPV6: u8 = 58;

impl Headers {
    /// Sets the family, tuple and hop limit of a whole packet.
    #[inline(always)]
    pub fn set_network(&mut self, family: Family, tuple: Tuple, hop_limit: u8) {
        (self.family, self.part) = (family as u8, Part::Whole as u8);
        (self.tuple, self.hop_limit) = (tuple, hop_limit);
    }

    /// Sets the offsets of the network header and of what follows it, and the packet's length as the network header gives it. All
    /// in bytes.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "offsets are a few hundred bytes")]
    pub fn set_offsets(&mut self, network: usize, transport: usize, length: u16) {
        (self.network, self.transport, self.length) = (network as u16, transport as u16, length);
    }

    /// Moves the offset of the transport header past a header of this many bytes.
    #[inline(always)]
    pub fn skip(&mut self, bytes: u16) {
        self.transport += bytes;
    }

    /// Sets the part that was received.
    #[inline(always)]
    pub fn set_part(&mut self, part: Part) {
        self.part = part as u8;
    }

    /// Sets the ports, in network byte order.
    #[inline(always)]
    pub fn set_ports(&mut self, source: u16, destination: u16) {
        self.tuple.source_port = u16::from_be(source);
        self.tuple.destination_port = u16::from_be(destination);
    }

    /// Sets the TCP flags.
    #[inline(always)]
    pub fn set_flags(&mut self, flags: u8) {
        self.flags = flags;
    }

    /// Sets the length of the transport header, bytes. What follows it is the payload, which only TCP needs.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "packets are at most as long as their length field says")]
    pub fn set_transport_length(&mut self, length: usize) {
        self.payload = self.end().wrapping_sub(self.transport()).wrapping_sub(length) as u16;
    }

    /// The packet as a TCP segment. A first fragment counts as a shorter segment.
    #[inline(always)]
    pub const fn segment(&self) -> Segment {
        let flags = self.flags();
        let phantom = flags.has(TcpFlags::SYN) as u32 + flags.has(TcpFlags::FIN) as u32;
        let end = self.sequence.wrapping_add(self.payload as u32).wrapping_add(phantom);
        Segment { start: self.sequence, end, acknowledgment: self.acknowledgment, flags }
    }

    /// IP family.
    #[inline(always)]
    pub const fn family(&self) -> Family {
        if self.family == Family::Ipv4 as u8 { Family::Ipv4 } else { Family::Ipv6 }
    }

    /// The part of the packet that was received.
    #[inline(always)]
    pub const fn part(&self) -> Part {
        match self.part {
            0 => Part::Whole,
            1 => Part::First,
            _ => Part::Later,
        }
    }

    /// The flags that move a flow.
    #[inline(always)]
    pub const fn flags(&self) -> TcpFlags {
        TcpFlags(self.flags)
    }

    /// Offset of the network header, bytes.
    #[inline(always)]
    pub const fn network(&self) -> usize {
        self.network as usize
    }

    /// Offset of what follows the network header and its extensions, bytes.
    #[inline(always)]
    pub const fn transport(&self) -> usize {
        self.transport as usize
    }

    /// Length that the network header gives the packet, bytes.
    #[inline(always)]
    pub const fn length(&self) -> usize {
        self.length as usize
    }

    /// Offset of the packet's end as the network header gives it, bytes.
    #[inline(always)]
    pub const fn end(&self) -> usize {
        self.network() + self.length()
    }

    /// Whether ICMP of the packet's family follows the network header.
    #[inline(always)]
    pub const fn is_icmp(&self) -> bool {
        match self.family() {
            Family::Ipv4 => self.tuple.protocol == ICMP,
            Family::Ipv6 => self.tuple.protocol == ICMPV6,
        }
    }
}
