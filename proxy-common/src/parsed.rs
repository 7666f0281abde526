//! The result of parsing a packet's headers: filled in by the packet programs' stage *parse*, passed on from stage to stage.

use crate::{
    conntrack::{Segment, TcpFlags, Tuple},
    pod::pod,
};

pod! {
    /// The parsed headers. Offsets are `u16`: the verifier loses the bounds of narrow numbers that are spilled to the
    /// stack, which keeps it from following every combination of them.
    pub struct Headers: 64 {
        /// The key of its flow; the ports are 0 until the transport header has been read.
        pub tuple: Tuple,
        /// Of TCP, host byte order. Of SCTP that opens an association: its initiate tag.
        pub sequence: u32,
        /// Of TCP, host byte order.
        pub acknowledgment: u32,
        /// Of a fragment, as it lies in the header.
        pub identification: u32,
        network: u16,
        transport: u16,
        length: u16,
        /// TTL or hop limit.
        pub hop_limit: u8,
        /// [`TcpFlags`]; SYN of SCTP that may open an association; none for others.
        flags: u8,
        /// A [`Family`].
        family: u8,
        /// A [`Part`].
        part: u8,
        /// Bytes behind the TCP header.
        payload: u16,
    }
}

/// IP family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Family {
    /// IPv4.
    Ipv4 = 0,
    /// IPv6.
    Ipv6 = 1,
}

/// Which part of a packet this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Part {
    /// All of it.
    Whole = 0,
    /// The first fragment: it has the ports.
    First = 1,
    /// Another fragment.
    Later = 2,
}

/// IANA number of ICMP.
pub const ICMP: u8 = 1;
/// IANA number of ICMPv6.
pub const ICMPV6: u8 = 58;

impl Headers {
    /// Sets what the network header of a whole packet says.
    #[inline(always)]
    pub fn set_network(&mut self, family: Family, tuple: Tuple, hop_limit: u8) {
        (self.family, self.part) = (family as u8, Part::Whole as u8);
        (self.tuple, self.hop_limit) = (tuple, hop_limit);
    }

    /// Sets where the network header begins, and what follows it, and the length of both by the packet's own account:
    /// bytes.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "offsets are a few hundred bytes")]
    pub fn set_offsets(&mut self, network: usize, transport: usize, length: u16) {
        (self.network, self.transport, self.length) = (network as u16, transport as u16, length);
    }

    /// Moves the transport header back by the length of a header before it, bytes.
    #[inline(always)]
    pub fn skip(&mut self, bytes: u16) {
        self.transport += bytes;
    }

    /// Sets which part of a packet this is.
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

    /// Sets the flags.
    #[inline(always)]
    pub fn set_flags(&mut self, flags: u8) {
        self.flags = flags;
    }

    /// Sets how long the transport header is: what follows is the payload. Bytes; only TCP asks for it.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "packets are at most as long as their length field says")]
    pub fn set_transport_length(&mut self, length: usize) {
        self.payload = self.end().wrapping_sub(self.transport()).wrapping_sub(length) as u16;
    }

    /// The TCP segment. A first fragment counts as a shorter segment.
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

    /// Which part of a packet this is.
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

    /// Where the network header begins.
    #[inline(always)]
    pub const fn network(&self) -> usize {
        self.network as usize
    }

    /// Where what follows it and its extensions begins.
    #[inline(always)]
    pub const fn transport(&self) -> usize {
        self.transport as usize
    }

    /// Length of the network packet by its own account, bytes.
    #[inline(always)]
    pub const fn length(&self) -> usize {
        self.length as usize
    }

    /// Where the packet ends by its own account.
    #[inline(always)]
    pub const fn end(&self) -> usize {
        self.network() + self.length()
    }

    /// Whether ICMP of its family follows the network header.
    #[inline(always)]
    pub const fn is_icmp(&self) -> bool {
        match self.family() {
            Family::Ipv4 => self.tuple.protocol == ICMP,
            Family::Ipv6 => self.tuple.protocol == ICMPV6,
        }
    }
}
