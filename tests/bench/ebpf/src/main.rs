//! The benchmark's own programs. `vary` makes the next packet and continues in the program in `TARGET`. The others
//! show what a packet program costs that does nothing, or only the least.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![expect(unsafe_code, reason = "helpers and maps of the kernel are raw pointers")]
#![expect(missing_docs, reason = "the macros of the entry points make items without docs")]
#![expect(clippy::needless_pass_by_value, reason = "the macros of the entry points hand over the context by value")]

mod flood;
mod floor;
mod forget;
mod walk;

use core::arch::asm;

use aya_ebpf::{
    bindings::xdp_action,
    btf_maps::{Array, ProgramArray},
    helpers::bpf_ktime_get_ns,
    macros::{btf_map, xdp},
    programs::XdpContext,
};

use flood::{Arrivals, FLOWS, Flood};
use walk::{FRAME, Walk, of_flow};

/// The walk of `vary`.
#[btf_map]
static WALK: Array<Walk, 1> = Array::new();

/// The program that is measured.
#[btf_map]
static TARGET: ProgramArray<1> = ProgramArray::new();

/// The flood of `flood`.
#[btf_map]
static FLOOD: Array<Flood, 1> = Array::new();

/// The counts of `arrive`.
#[btf_map]
static ARRIVALS: Array<Arrivals, 1> = Array::new();

/// Does nothing.
#[xdp(frags)]
pub fn empty(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_DROP
}

/// Sends a packet back with its Ethernet addresses swapped.
#[xdp(frags)]
pub fn mac_swap(ctx: XdpContext) -> u32 {
    let Some(addresses) = at::<[[u16; 3]; 2]>(&ctx, 0) else { return xdp_action::XDP_ABORTED };
    // SAFETY: `at` has checked the bounds, and only this program has the packet.
    unsafe { (*addresses).swap(0, 1) };
    xdp_action::XDP_TX
}

/// The least that a forwarder does: see `floor.rs`.
#[xdp(frags)]
pub fn floor(ctx: XdpContext) -> u32 {
    floor::forward(&ctx).unwrap_or(xdp_action::XDP_ABORTED)
}

/// Overwrites the current packet with the next one of the walk, and continues in `TARGET`.
#[xdp(frags)]
pub fn vary(ctx: XdpContext) -> u32 {
    let _ = write_next(&ctx);
    // A constant index makes the tail call a direct jump.
    // SAFETY: no value here needs to be dropped.
    unsafe { TARGET.tail_call(&ctx, 0) };
    xdp_action::XDP_ABORTED
}

/// Makes the next packet of a flood and sends it by the device that a test run names.
#[xdp(frags)]
pub fn flood(ctx: XdpContext) -> u32 {
    write_flow(&ctx).map_or(xdp_action::XDP_ABORTED, |()| xdp_action::XDP_TX)
}

/// Drops and counts the packets of a wire, or passes them.
#[xdp(frags)]
pub fn arrive(ctx: XdpContext) -> u32 {
    if count_arrival(&ctx).is_some() { xdp_action::XDP_DROP } else { xdp_action::XDP_PASS }
}

/// Writes the whole frame, since the last run has translated the one in the buffer.
#[inline(always)]
fn write_flow(ctx: &XdpContext) -> Option<()> {
    const LENGTH: usize = flood::FRAME / 8;
    let state = FLOOD.get_ptr_mut(0)?;
    // SAFETY: only one thread sends a flood.
    let state = unsafe { &mut *state };
    #[expect(clippy::cast_possible_truncation, reason = "the low bits")]
    let flow = state.made as u16 & (FLOWS - 1);
    state.made += 1;
    wait(state);
    let packet: *mut [u64; LENGTH] = at(ctx, 0)?;
    let mut frame = state.frame;
    // The source port ends the fourth byte of the fifth word, the data begins with the third of the sixth.
    frame[4] |= u64::from(flow.to_be()) << 16;
    frame[5] ^= u64::from(flow.to_be()) << 16;
    // SAFETY: `at` has checked the bounds, and only this program has the packet.
    unsafe { packet.write_unaligned(frame) };
    Some(())
}

/// Waits until the next packet is due. A late packet does not shorten the next wait.
#[inline(always)]
fn wait(state: &mut Flood) {
    /// Reads the clock, some ten nanoseconds each time.
    const LOOKS: u32 = 1_000;
    if state.gap == 0 {
        return;
    }
    for _ in 0..LOOKS {
        // SAFETY: takes nothing.
        let now = unsafe { bpf_ktime_get_ns() };
        if now >= state.due {
            state.due = now + state.gap;
            return;
        }
    }
}

#[inline(always)]
fn count_arrival(ctx: &XdpContext) -> Option<()> {
    let state = ARRIVALS.get_ptr_mut(0)?;
    // SAFETY: a device with one queue polls on one processor at a time.
    let state = unsafe { &mut *state };
    // SAFETY: `at` checks the bounds; every bit pattern is a number.
    let ether_type = unsafe { at::<u16>(ctx, 12)?.read() };
    if state.ends == 0 || ether_type != 0x0800_u16.to_be() {
        return None;
    }
    state.count += 1;
    Some(())
}

#[inline(always)]
fn write_next(ctx: &XdpContext) -> Option<()> {
    const SOURCE: usize = 24;
    const PORTS: usize = 32;
    let walk = WALK.get_ptr_mut(0)?;
    // SAFETY: the benchmark runs one program at a time.
    let walk = unsafe { &mut *walk };
    if walk.forgets != 0 {
        // SAFETY: takes no arguments, like the next call.
        let begin = unsafe { bpf_ktime_get_ns() };
        let _ = forget::forget(ctx);
        // SAFETY: as above.
        walk.forgetting += unsafe { bpf_ktime_get_ns() } - begin;
    }
    let index = walk.position;
    let next = index + walk.step;
    walk.position = if next >= walk.flows { next - walk.flows } else { next };
    let (address, port) = of_flow(index);
    let packet: *mut [u8; FRAME] = at(ctx, 0)?;
    let packet: *mut u64 = packet.cast();
    // SAFETY: `at` has checked the bounds; the kernel's test packets are aligned to eight bytes.
    unsafe {
        for word in [0, 1, 2, 5] {
            *packet.add(word) = walk.frame[word];
        }
        // The source address begins two bytes into its word. The base's low bits are 0, so an "or" adds.
        *packet.add(SOURCE / 8) = walk.frame[SOURCE / 8] | u64::from(address.to_be()) << 16;
        *packet.add(PORTS / 8) = walk.frame[PORTS / 8] | u64::from(port.to_be()) << (16 + walk.port_shift);
        let (end, bytes) = (packet.add(6), walk.frame[6].to_ne_bytes());
        *end.cast::<u32>() = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        *end.cast::<u16>().add(2) = u16::from_ne_bytes([bytes[4], bytes[5]]);
    }
    finish_writing(&mut walk.packets);
    Some(())
}

/// Waits until the processor has finished all writes, by a locked instruction. So the next program neither overlaps
/// with this one, nor stalls on loads that are wider than the stores before.
#[inline(always)]
fn finish_writing(packets: &mut u64) {
    // SAFETY: adds one to a word that belongs to the caller.
    unsafe { asm!("lock *(u64 *)({word} + 0) += {one}", word = in(reg) packets, one = in(reg) 1_u64) };
}

/// A pointer to the `T` at `offset` bytes from the start, if the packet has that many bytes.
#[inline(always)]
fn at<T>(ctx: &XdpContext, offset: usize) -> Option<*mut T> {
    let first = ctx.data() + offset;
    (first + size_of::<T>() <= ctx.data_end()).then_some(first as *mut T)
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
