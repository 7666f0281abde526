//! A packet at the XDP hook: raw bytes, straight from the device.

use core::{arch::asm, ffi::c_void, mem::offset_of};

use aya_ebpf::{
    bindings::{xdp_action, xdp_md},
    helpers::{
        bpf_redirect, bpf_xdp_adjust_head, bpf_xdp_adjust_tail,
        generated::{bpf_xdp_get_buff_len, bpf_xdp_load_bytes},
    },
    programs::XdpContext,
};
use proxy_common::{Device, EventHook, Headers, Stage, Verdict, checksum::Difference};

use super::{Packet, pending::looks_pending, stage::tail_call};
use crate::{
    headers::{Ethernet, Ipv6Addresses},
    maps::{DEVICES, XDP_STAGES},
    pipeline::finish,
    route::Route,
    scratch::Rooms,
};

/// A packet, and the action by which it is sent.
pub struct Xdp {
    ctx: XdpContext,
    /// The action of `send` and `send_back`; a drop until then.
    action: u32,
    /// Whether the packet's bytes stay where they are until the program ends. A constant to the compiler.
    is_fixed: bool,
}

impl Xdp {
    #[inline(always)]
    fn new(ctx: XdpContext, is_fixed: bool) -> Self {
        Self { ctx, is_fixed, action: xdp_action::XDP_DROP }
    }

    /// Runs `stage` on the packet, and ends with its verdict. Returns the program's result.
    #[inline(always)]
    pub fn run(ctx: XdpContext, stage: impl FnOnce(&mut Self, Rooms<'_>) -> Result<(), Verdict>) -> u32 {
        let mut packet = Self::new(ctx, true);
        // SAFETY: the run of a packet program begins here.
        let rooms = unsafe { Rooms::take() };
        let outcome = stage(&mut packet, rooms);
        let verdict = finish(&packet, outcome);
        packet.action(verdict)
    }

    /// Runs `reject`, which turns the packet into a refusal and counts it. A packet that can't be refused is dropped.
    #[inline(always)]
    pub fn reject(ctx: XdpContext, reject: impl FnOnce(&mut Self, Rooms<'_>) -> Result<(), Verdict>) -> u32 {
        let mut packet = Self::new(ctx, false);
        // SAFETY: the run of a packet program begins here.
        match reject(&mut packet, unsafe { Rooms::take() }) {
            Err(Verdict::Pass) => xdp_action::XDP_PASS,
            _ => packet.action,
        }
    }

    /// The number at `OFFSET` of the context. The compiler may assume that it is the same wherever it is read.
    #[inline(always)]
    #[expect(clippy::pointers_in_nomem_asm_block, reason = "so that the compiler reads it once")]
    fn read_once<const OFFSET: usize>(&self) -> usize {
        let number;
        // SAFETY: the context is valid.
        unsafe {
            asm!(
                "{number} = *(u32 *)({ctx} + {offset})",
                number = out(reg) number,
                ctx = in(reg) self.ctx.ctx,
                offset = const OFFSET,
                options(pure, nomem, nostack),
            );
        }
        number
    }

    /// The action of a verdict (`XDP_…`).
    #[inline(always)]
    fn action(&self, verdict: Verdict) -> u32 {
        match verdict {
            Verdict::Pass | Verdict::Translated => xdp_action::XDP_PASS,
            _ => self.action,
        }
    }
}

impl Packet for Xdp {
    const HOOK: EventHook = EventHook::Xdp;

    #[inline(always)]
    fn context(&self) -> *mut c_void {
        self.ctx.ctx.cast()
    }

    #[inline(always)]
    fn continue_at(&self, stage: Stage) {
        // SAFETY: the hook's context and its own programs.
        unsafe { tail_call(self.context(), (&raw const XDP_STAGES).cast(), stage) };
    }

    #[inline(always)]
    fn bounds(&self) -> (usize, usize) {
        (self.ctx.data(), self.ctx.data_end())
    }

    #[inline(always)]
    fn fixed_bounds(&self) -> Option<(usize, usize)> {
        const DATA: usize = offset_of!(xdp_md, data);
        const DATA_END: usize = offset_of!(xdp_md, data_end);
        self.is_fixed.then(|| (self.read_once::<DATA>(), self.read_once::<DATA_END>()))
    }

    #[inline(always)]
    fn length(&self) -> u32 {
        // SAFETY: the helper takes the hook's context.
        #[expect(clippy::cast_possible_truncation, reason = "frames are short")]
        let length = unsafe { bpf_xdp_get_buff_len(self.ctx.ctx) } as u32;
        length
    }

    #[inline(always)]
    fn segment(&self) -> usize {
        0
    }

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        let index: u32;
        // SAFETY: reads a number of the context, which is valid. In assembly, as in `Socket::sk`.
        unsafe {
            asm!(
                "{index} = *(u32 *)({ctx} + {offset})",
                index = out(reg) index,
                ctx = in(reg) self.ctx.ctx,
                offset = const offset_of!(xdp_md, ingress_ifindex),
                options(pure, readonly, nostack),
            );
        }
        index
    }

    #[inline(always)]
    fn mark(&self) -> u32 {
        0
    }

    #[inline(always)]
    fn is_bare(&self) -> bool {
        false
    }

    #[inline(always)]
    fn protocol(&self) -> u16 {
        0
    }

    #[inline(always)]
    fn is_from_pod(&self) -> bool {
        false
    }

    #[inline(always)]
    fn is_tagged(&self, network: usize) -> bool {
        network != size_of::<Ethernet>()
    }

    #[inline(always)]
    fn can_send(&self, route: &Route) -> bool {
        if !route.is_resolved() {
            return false;
        }
        // SAFETY: the value is one word, read at once.
        route.ifindex() == self.ifindex()
            || unsafe { DEVICES.get(route.ifindex()) }.is_some_and(|device| device.flags & Device::REDIRECT != 0)
    }

    #[inline(always)]
    fn send(&mut self, route: &Route) -> Option<()> {
        let ether_type = self.load::<Ethernet>(0)?.ether_type;
        self.store(0, route.ethernet(ether_type))?;
        self.action = if route.ifindex() == self.ifindex() {
            xdp_action::XDP_TX
        } else {
            // SAFETY: takes plain numbers.
            #[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "an XDP action")]
            let action = unsafe { bpf_redirect(route.ifindex(), 0) } as u32;
            action
        };
        Some(())
    }

    #[inline(always)]
    fn can_send_back(&self, headers: &Headers) -> bool {
        // A network card may have removed a tag before this hook sees the packet. Then the way back is by the VLAN's device.
        !self.is_tagged(headers.network()) && Route::new().leads_back(self, headers)
    }

    #[inline(always)]
    fn send_back(&mut self) -> Option<()> {
        let Ethernet { destination, source, ether_type } = self.load(0)?;
        self.store(0, Ethernet { destination: source, source: destination, ether_type })?;
        self.action = xdp_action::XDP_TX;
        Some(())
    }

    #[inline(always)]
    fn store_ipv6_addresses(&mut self, offset: usize, addresses: [[u32; 4]; 2]) -> Option<()> {
        self.store(offset, Ipv6Addresses(addresses))
    }

    #[inline(always)]
    fn change_checksum(&mut self, offset: usize, pseudo: Difference, inside: Difference, udp: bool) -> Option<()> {
        let checksum = pseudo.plus(inside).apply(self.load(offset)?);
        // RFC 768: a UDP checksum that comes out as 0 is sent as all ones.
        self.store(offset, if udp && checksum == 0 { 0xffff } else { checksum })
    }

    #[inline(always)]
    fn truncate(&mut self, length: u32) -> Option<()> {
        let delta = length.cast_signed() - self.length().cast_signed();
        // SAFETY: the helper takes the hook's context and checks the length.
        (unsafe { bpf_xdp_adjust_tail(self.ctx.ctx, delta) } == 0).then_some(())
    }

    #[inline(always)]
    fn insert(&mut self, bytes: u32) -> Option<()> {
        let header: Ethernet = self.load(0)?;
        // SAFETY: the helper takes the hook's context and checks the length.
        if unsafe { bpf_xdp_adjust_head(self.ctx.ctx, -bytes.cast_signed()) } != 0 {
            return None;
        }
        self.store(0, header)
    }

    #[inline(always)]
    fn is_checksum_pending(&mut self, _offset: usize) -> bool {
        false
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "offsets and sizes are small")]
    fn read_word(context: *mut c_void, offset: usize) -> Option<u32> {
        let mut word = 0_u32;
        let room = (&raw mut word).cast();
        let length = size_of::<u32>() as u32;
        // SAFETY: the helper checks the bounds and writes one word.
        (unsafe { bpf_xdp_load_bytes(context.cast(), offset as u32, room, length) } == 0).then_some(word)
    }

    #[inline(always)]
    fn is_unfinished(&self, headers: &Headers) -> bool {
        looks_pending(self, headers)
    }
}
