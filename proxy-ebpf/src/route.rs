//! Looks up the way of a translated packet out of this node, in the kernel's routing and neighbour tables.

use core::mem::{offset_of, zeroed};

use aya_ebpf::{
    bindings::{
        BPF_FIB_LKUP_RET_BLACKHOLE, BPF_FIB_LKUP_RET_FRAG_NEEDED, BPF_FIB_LKUP_RET_FWD_DISABLED,
        BPF_FIB_LKUP_RET_NO_NEIGH, BPF_FIB_LKUP_RET_NOT_FWDED, BPF_FIB_LKUP_RET_PROHIBIT, BPF_FIB_LKUP_RET_SUCCESS,
        BPF_FIB_LKUP_RET_UNREACHABLE, bpf_fib_lookup as Params, bpf_redir_neigh,
    },
    helpers::bpf_fib_lookup,
};
use proxy_common::{Address, ConntrackEntry, DropReason, Family, Headers, Protocol, Verdict};

use crate::{
    headers::{Ethernet, Tcp, Udp},
    packet::Packet,
    reject::note_mtu,
};

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// The index of every loopback device.
const LOOPBACK: u32 = 1;

/// The kernel's route for a packet. Filled in in place, since the stack is small.
pub struct Route {
    params: Params,
    resolved: bool,
}

impl Route {
    /// Looks up the route of a packet after translation by `flow`. `Pass` if it leads to this node itself, or if only the stack
    /// can send the packet.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "a packet's length has 16 bits")]
    pub fn lookup<P: Packet>(&mut self, packet: &P, headers: &Headers, flow: &ConntrackEntry) -> Result<(), Verdict> {
        self.params.__bindgen_anon_1.tot_len = longest_packet(packet, headers) as u16;
        let ports = [flow.source_port, flow.destination_port];
        match self.lookup_fib(packet, headers, [&flow.source, &flow.destination], ports) {
            BPF_FIB_LKUP_RET_SUCCESS | BPF_FIB_LKUP_RET_NO_NEIGH => Ok(()),
            BPF_FIB_LKUP_RET_FRAG_NEEDED => {
                // SAFETY: all members of the union are two bytes.
                note_mtu(unsafe { self.params.__bindgen_anon_1.mtu_result });
                Err(Verdict::Drop(DropReason::TooBig))
            }
            BPF_FIB_LKUP_RET_BLACKHOLE | BPF_FIB_LKUP_RET_UNREACHABLE | BPF_FIB_LKUP_RET_PROHIBIT => {
                Err(Verdict::Drop(DropReason::NoRoute))
            }
            _ => Err(Verdict::Pass),
        }
    }

    /// A route before any lookup.
    #[inline(always)]
    pub fn new() -> Self {
        // SAFETY: plain numbers.
        Self { params: unsafe { zeroed() }, resolved: false }
    }

    /// Whether the kernel would send a reply to the packet out of the device that it came in on.
    #[inline(always)]
    pub fn leads_back<P: Packet>(&mut self, packet: &P, headers: &Headers) -> bool {
        let (from, to) = (&headers.tuple.destination, &headers.tuple.source);
        let ports = [headers.tuple.destination_port, headers.tuple.source_port];
        let code = self.lookup_fib(packet, headers, [from, to], ports);
        [BPF_FIB_LKUP_RET_SUCCESS, BPF_FIB_LKUP_RET_NO_NEIGH].contains(&code) && self.ifindex() == packet.ifindex()
    }

    /// Whether the kernel would deliver a packet with these addresses and ports locally, or does not forward at all.
    #[inline(always)]
    pub fn leads_here<P: Packet>(
        &mut self,
        packet: &P,
        headers: &Headers,
        ends: [&Address; 2],
        ports: [u16; 2],
    ) -> bool {
        let code = self.lookup_fib(packet, headers, ends, ports);
        [BPF_FIB_LKUP_RET_NOT_FWDED, BPF_FIB_LKUP_RET_FWD_DISABLED].contains(&code)
    }

    /// Whether a packet of this node with the addresses after translation, and with this packet's mark, would leave by another
    /// device than this packet. Linux considers the mark since 6.10.
    #[inline(always)]
    pub fn leads_elsewhere<P: Packet>(&mut self, packet: &P, headers: &Headers, flow: &ConntrackEntry) -> bool {
        /// `BPF_FIB_LOOKUP_MARK`: the mark is passed in the field that returns the source Ethernet address.
        const MARK: u32 = 32;
        let mark = packet.mark();
        self.params.smac = bytes(mark);
        let flags = if mark == 0 { 0 } else { MARK };
        let (ends, ports) = ([&flow.source, &flow.destination], [flow.source_port, flow.destination_port]);
        let code = self.lookup_fib_from(LOOPBACK, packet, headers, ends, ports, flags);
        [BPF_FIB_LKUP_RET_SUCCESS, BPF_FIB_LKUP_RET_NO_NEIGH].contains(&code) && self.ifindex() != packet.ifindex()
    }

    /// Whether a packet of this node back to the translated source would leave by another device than the one that this packet
    /// came in by, and to a neighbour that is resolved.
    #[inline(always)]
    pub fn leads_back_elsewhere<P: Packet>(&mut self, packet: &P, headers: &Headers, flow: &ConntrackEntry) -> bool {
        let ports = [flow.destination_port, flow.source_port];
        let code = self.lookup_fib_from(LOOPBACK, packet, headers, [&flow.destination, &flow.source], ports, 0);
        code == BPF_FIB_LKUP_RET_SUCCESS && self.ifindex() != packet.ifindex()
    }

    /// Asks the kernel for the route from one address to another. Returns the helper's code.
    #[inline(always)]
    fn lookup_fib<P: Packet>(&mut self, packet: &P, headers: &Headers, ends: [&Address; 2], ports: [u16; 2]) -> u32 {
        self.lookup_fib_from(packet.ifindex(), packet, headers, ends, ports, 0)
    }

    /// Asks the kernel for the route as if the packet had come in by the device `ifindex`. `flags` are the helper's.
    #[inline(always)]
    #[expect(
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "the helper's codes are small"
    )]
    fn lookup_fib_from<P: Packet>(
        &mut self,
        ifindex: u32,
        packet: &P,
        headers: &Headers,
        ends: [&Address; 2],
        ports: [u16; 2],
        flags: u32,
    ) -> u32 {
        const SIZE: i32 = size_of::<Params>() as i32;
        let params = &mut self.params;
        params.l4_protocol = headers.tuple.protocol;
        params.sport = ports[0].to_be();
        params.dport = ports[1].to_be();
        params.ifindex = ifindex;
        match headers.family() {
            Family::Ipv4 => {
                params.family = AF_INET;
                params.__bindgen_anon_3.ipv4_src = ends[0].words()[3];
                params.__bindgen_anon_4.ipv4_dst = ends[1].words()[3];
            }
            Family::Ipv6 => {
                params.family = AF_INET6;
                params.__bindgen_anon_3.ipv6_src = ends[0].words();
                params.__bindgen_anon_4.ipv6_dst = ends[1].words();
            }
        }
        // SAFETY: the parameters live until the call returns.
        let code = unsafe { bpf_fib_lookup(packet.context(), &raw mut self.params, SIZE, flags) } as u32;
        self.resolved = code == BPF_FIB_LKUP_RET_SUCCESS;
        code
    }

    /// Index of the device that the route leaves by.
    #[inline(always)]
    pub fn ifindex(&self) -> u32 {
        self.params.ifindex
    }

    /// Whether the Ethernet addresses are known. Otherwise the neighbour has to be resolved first.
    #[inline(always)]
    pub fn is_resolved(&self) -> bool {
        self.resolved
    }

    /// The Ethernet header of a packet that leaves by this route. `ether_type` is in network byte order.
    #[inline(always)]
    pub fn ethernet(&self, ether_type: u16) -> Ethernet {
        Ethernet { destination: words(self.params.dmac), source: words(self.params.smac), ether_type }
    }

    /// The neighbour's address and family. The kernel has put them in the destination's place. A gateway may be of the other
    /// family (RFC 5549).
    #[inline(always)]
    pub fn neighbour(&self) -> bpf_redir_neigh {
        let nh_family = self.params.family.into();
        // SAFETY: the kernel has set the member of this family; plain numbers.
        unsafe {
            let mut neighbour = bpf_redir_neigh { nh_family, ..zeroed() };
            if self.params.family == AF_INET {
                neighbour.__bindgen_anon_1.ipv4_nh = self.params.__bindgen_anon_4.ipv4_dst;
            } else {
                neighbour.__bindgen_anon_1.ipv6_nh = self.params.__bindgen_anon_4.ipv6_dst;
            }
            neighbour
        }
    }
}

/// The length to compare with the MTU of the route: that of the longest packet that leaves, bytes. 0 leaves the comparison to the
/// kernel.
#[inline(always)]
fn longest_packet<P: Packet>(packet: &P, headers: &Headers) -> usize {
    let segment = packet.segment();
    if segment == 0 {
        return headers.length();
    }
    if segment == P::GSO_BY_FRAGS {
        return 0;
    }
    let transport = if headers.tuple.protocol == Protocol::Tcp as u8 {
        let offset: Option<u8> = packet.load(headers.transport() + offset_of!(Tcp, offset));
        usize::from(offset.unwrap_or_default() >> 4) * 4
    } else {
        size_of::<Udp>()
    };
    headers.transport() - headers.network() + transport + segment
}

/// The bytes of a word in the place of an Ethernet address.
#[inline(always)]
const fn bytes(word: u32) -> [u8; 6] {
    let [a, b, c, d] = word.to_ne_bytes();
    [a, b, c, d, 0, 0]
}

#[inline(always)]
const fn words(bytes: [u8; 6]) -> [u16; 3] {
    [
        u16::from_ne_bytes([bytes[0], bytes[1]]),
        u16::from_ne_bytes([bytes[2], bytes[3]]),
        u16::from_ne_bytes([bytes[4], bytes[5]]),
    ]
}
