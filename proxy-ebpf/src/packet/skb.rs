//! A packet at the TC hooks: a socket buffer. Checksum offload may be pending, so transport checksums are changed by
//! `bpf_l4_csum_replace`, which takes account of it.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "offsets, sizes and helpers' codes are small"
)]

use core::ffi::c_void;

use aya_ebpf::{
    bindings::{
        __sk_buff, BPF_F_INGRESS, BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR, BPF_F_RECOMPUTE_CSUM, TC_ACT_SHOT,
        TC_ACT_UNSPEC, bpf_redir_neigh,
    },
    helpers::{
        bpf_l4_csum_replace, bpf_redirect, bpf_redirect_neigh, bpf_skb_adjust_room, bpf_skb_change_tail,
        bpf_skb_load_bytes, bpf_skb_pull_data, bpf_skb_store_bytes,
    },
    programs::TcContext,
};
use proxy_common::{Device, EventHook, Headers, Stage, Verdict, checksum::Difference};

use super::{
    Packet,
    frame::{leaves_by_route, redirect_by_route},
    stage::tail_call,
};
use crate::{
    headers::Ethernet,
    maps::{DEVICES, TC_STAGES},
    pipeline::finish,
    reject::is_prepared_bare,
    route::Route,
    scratch::{Rooms, note_sent},
};

/// Bytes that the kernel is asked to keep in one piece at the front: Ethernet, IPv6 and some extension headers, TCP.
const LINEAR: u32 = 128;

/// Value of `BEGIN` of [`Skb`], for programs whose packets begin with an Ethernet header.
pub const FRAME: u8 = 0;
/// Value of `BEGIN` of [`Skb`], for programs whose packets begin with their network header: devices without Ethernet frames.
pub const BARE: u8 = 1;
/// Value of `BEGIN` of [`Skb`], for programs that continue with packets of either kind.
pub const EITHER: u8 = 2;

/// A packet, and the action by which it is sent. `BEGIN` says how it begins: [`FRAME`], [`BARE`] or [`EITHER`].
pub struct Skb<const BEGIN: u8> {
    pub(super) raw: *mut __sk_buff,
    /// The action of `send` and `send_back`; a drop until then.
    pub(super) action: i32,
    /// Whether the packet begins with its network header, if `BEGIN` is [`EITHER`].
    bare: bool,
}

impl<const BEGIN: u8> Skb<BEGIN> {
    /// Makes the packet's headers directly readable.
    #[inline(always)]
    fn new(ctx: &TcContext, bare: bool) -> Self {
        let skb = ctx.skb.skb;
        let packet = Self { raw: skb, action: TC_ACT_SHOT, bare };
        let (start, end) = packet.bounds();
        if start + LINEAR as usize > end && packet.length() as usize > end.wrapping_sub(start) {
            // SAFETY: the helper takes the hook's context. If it fails, the packet looks as if it ended early.
            unsafe { bpf_skb_pull_data(skb, packet.length().min(LINEAR)) };
        }
        packet
    }

    /// Runs `stage` on the packet, and ends with its verdict. Returns the program's result.
    #[inline(always)]
    pub fn run(ctx: &TcContext, stage: impl FnOnce(&mut Self, Rooms<'_>) -> Result<(), Verdict>) -> i32 {
        // SAFETY: the run of a packet program begins here.
        let mut rooms = unsafe { Rooms::take() };
        // A packet without an Ethernet header has its network header at offset 0.
        let bare = BEGIN == EITHER && rooms.headers.lend().get().is_ok_and(|headers| headers.network() == 0);
        let mut packet = Self::new(ctx, bare);
        let outcome = stage(&mut packet, rooms);
        packet.action(finish(&packet, outcome))
    }

    /// Runs `reject`, which turns the packet into a refusal and counts it. A packet that can't be refused is dropped.
    #[inline(always)]
    pub fn reject(ctx: &TcContext, reject: impl FnOnce(&mut Self, Rooms<'_>) -> Result<(), Verdict>) -> i32 {
        let mut packet = Self::new(ctx, is_prepared_bare());
        // SAFETY: the run of a packet program begins here.
        match reject(&mut packet, unsafe { Rooms::take() }) {
            Err(Verdict::Pass) => TC_ACT_UNSPEC,
            _ => packet.action,
        }
    }

    /// The action of a verdict (`TC_ACT_…`).
    #[inline(always)]
    fn action(&self, verdict: Verdict) -> i32 {
        match verdict {
            Verdict::Translated if self.action != TC_ACT_SHOT => self.action,
            Verdict::Pass | Verdict::Translated => TC_ACT_UNSPEC,
            _ => self.action,
        }
    }
}

impl<const BEGIN: u8> Packet for Skb<BEGIN> {
    const HOOK: EventHook = EventHook::Tc;

    #[inline(always)]
    fn context(&self) -> *mut c_void {
        self.raw.cast()
    }

    #[inline(always)]
    fn continue_at(&self, stage: Stage) {
        // SAFETY: the hook's context and its own programs.
        unsafe { tail_call(self.context(), (&raw const TC_STAGES).cast(), stage) };
    }

    #[inline(always)]
    fn bounds(&self) -> (usize, usize) {
        // SAFETY: the kernel passes a valid context.
        unsafe { ((*self.raw).data as usize, (*self.raw).data_end as usize) }
    }

    #[inline(always)]
    fn length(&self) -> u32 {
        // SAFETY: as in `bounds`.
        unsafe { (*self.raw).len }
    }

    #[inline(always)]
    fn segment(&self) -> usize {
        // SAFETY: as in `bounds`.
        unsafe { (*self.raw).gso_size as usize }
    }

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        // SAFETY: as in `bounds`.
        unsafe { (*self.raw).ifindex }
    }

    #[inline(always)]
    fn mark(&self) -> u32 {
        // SAFETY: as in `bounds`.
        unsafe { (*self.raw).mark }
    }

    #[inline(always)]
    fn is_bare(&self) -> bool {
        match BEGIN {
            FRAME => false,
            BARE => true,
            _ => self.bare,
        }
    }

    #[inline(always)]
    fn protocol(&self) -> u16 {
        // SAFETY: as in `bounds`.
        u16::from_be(unsafe { (*self.raw).protocol } as u16)
    }

    #[inline(always)]
    fn is_from_pod(&self) -> bool {
        // SAFETY: the value is one word, read at once.
        unsafe { DEVICES.get(self.ifindex()) }.is_some_and(|device| device.flags & Device::POD != 0)
    }

    #[inline(always)]
    fn is_tagged(&self, network: usize) -> bool {
        // SAFETY: as in `bounds`.
        let (present, tag) = unsafe { ((*self.raw).vlan_present, (*self.raw).vlan_tci) };
        // The kernel keeps the outer tag beside the packet. Until Linux 6.2 its number stays even when the tag has been removed.
        // VLAN 0 is a priority without a VLAN (IEEE 802.1Q).
        !self.is_bare() && network != size_of::<Ethernet>() || present != 0 && tag & 0xfff != 0
    }

    #[inline(always)]
    fn can_send(&self, _route: &Route) -> bool {
        true
    }

    #[inline(always)]
    fn send(&mut self, route: &Route) -> Option<()> {
        const SIZE: i32 = size_of::<bpf_redir_neigh>() as i32;
        if self.is_bare() {
            self.push_ethernet()?;
        }
        let action = if leaves_by_route(route) {
            redirect_by_route(route.ifindex())
        } else if route.is_resolved() {
            let ether_type = self.load::<Ethernet>(0)?.ether_type;
            self.store(0, route.ethernet(ether_type))?;
            // SAFETY: takes plain numbers.
            unsafe { bpf_redirect(route.ifindex(), 0) }
        } else {
            let mut neighbour = route.neighbour();
            // SAFETY: the parameters live until the call returns.
            unsafe { bpf_redirect_neigh(route.ifindex(), &raw mut neighbour, SIZE, 0) }
        };
        self.action = action as i32;
        note_sent();
        Some(())
    }

    #[inline(always)]
    fn can_send_back(&self, headers: &Headers) -> bool {
        !self.is_tagged(headers.network())
    }

    #[inline(always)]
    fn send_back(&mut self) -> Option<()> {
        // A packet that a process of this node has sent did not come in by any device. Its refusal comes in as if from outside.
        // SAFETY: as in `bounds`.
        let flags = if unsafe { (*self.raw).ingress_ifindex } == 0 { BPF_F_INGRESS } else { 0 };
        if self.is_bare() && flags == 0 {
            self.push_ethernet()?;
            self.action = redirect_by_route(self.ifindex()) as i32;
            return Some(());
        }
        if !self.is_bare() {
            let Ethernet { destination, source, ether_type } = self.load(0)?;
            self.store(0, Ethernet { destination: source, source: destination, ether_type })?;
        }
        // SAFETY: takes plain numbers.
        self.action = unsafe { bpf_redirect(self.ifindex(), flags.into()) } as i32;
        Some(())
    }

    #[inline(always)]
    fn store_ipv6_addresses(&mut self, offset: usize, addresses: [[u32; 4]; 2]) -> Option<()> {
        // The flag keeps the device's checksum over the whole packet right. `change_checksum` takes the addresses out of it
        // again, since it is made for IPv4, whose header checksum compensates for their change.
        // SAFETY: the helper checks the bounds and copies before it returns.
        let result = unsafe {
            bpf_skb_store_bytes(
                self.raw,
                offset as u32,
                (&raw const addresses).cast(),
                size_of_val(&addresses) as u32,
                BPF_F_RECOMPUTE_CSUM.into(),
            )
        };
        (result == 0).then_some(())
    }

    #[inline(always)]
    fn change_checksum(&mut self, offset: usize, pseudo: Difference, inside: Difference, udp: bool) -> Option<()> {
        let mangled = if udp { u64::from(BPF_F_MARK_MANGLED_0) } else { 0 };
        let change = |difference: Difference, flags: u64| {
            // SAFETY: the helper checks the bounds.
            unsafe { bpf_l4_csum_replace(self.raw, offset as u32, 0, difference.word().into(), flags | mangled) }
        };
        let result = change(pseudo, BPF_F_PSEUDO_HDR.into()) | change(inside, 0);
        (result == 0).then_some(())
    }

    #[inline(always)]
    fn truncate(&mut self, length: u32) -> Option<()> {
        // SAFETY: the helper takes the hook's context and checks the length.
        (unsafe { bpf_skb_change_tail(self.raw, length, 0) } == 0).then_some(())
    }

    #[inline(always)]
    fn insert(&mut self, bytes: u32) -> Option<()> {
        const BPF_ADJ_ROOM_MAC: u32 = 1;
        // SAFETY: the helper takes the hook's context and checks the length.
        (unsafe { bpf_skb_adjust_room(self.raw, bytes.cast_signed(), BPF_ADJ_ROOM_MAC, 0) } == 0).then_some(())
    }

    #[inline(always)]
    fn is_checksum_pending(&mut self, offset: usize) -> bool {
        // The helper does not change a pending checksum if nothing outside the transport header changes.
        let Some(before) = self.load::<u16>(offset) else { return false };
        let pending = |packet: &Self| packet.load::<u16>(offset) == Some(before);
        // SAFETY: the helper checks the bounds.
        unsafe { bpf_l4_csum_replace(self.raw, offset as u32, 0, 1, 0) };
        if pending(self) {
            return true;
        }
        let _ = self.store(offset, before);
        false
    }

    #[inline(always)]
    fn read_word(context: *mut c_void, offset: usize) -> Option<u32> {
        let mut word = 0_u32;
        let room = (&raw mut word).cast();
        // SAFETY: the helper checks the bounds and writes one word.
        (unsafe { bpf_skb_load_bytes(context, offset as u32, room, size_of::<u32>() as u32) } == 0).then_some(word)
    }

    #[inline(always)]
    fn is_unfinished(&self, _headers: &Headers) -> bool {
        // The helpers that change checksums know which are pending.
        false
    }
}
