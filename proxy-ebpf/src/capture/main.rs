//! The tracing programs of `waggle capture`: one pair sees what an XDP program receives and leaves, the other what a TC program
//! does. `waggle capture` attaches them to Waggle's loaded programs for as long as it runs. They change nothing.
//!
//! The traced program runs between the two programs of a pair, on one CPU, and no other packet program runs there meanwhile. So the
//! counters that have risen in between are what it has counted for this packet. A kernel with PREEMPT_RT may run a socket's program
//! in between, too.
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "helpers and maps of the kernel are raw pointers")]
#![expect(missing_docs, reason = "the macros of the entry points make items without docs")]
#![expect(clippy::needless_pass_by_value, reason = "the macros of the entry points hand over the context by value")]

mod buffer;

use core::{ffi::c_void, ptr};

use aya_ebpf::{
    EbpfContext as _,
    bindings::BPF_F_CURRENT_CPU,
    btf_maps::{Array, HashMap, PerCpuArray, PerfEventByteArray},
    helpers::{
        bpf_ktime_get_ns,
        generated::{bpf_get_attach_cookie, bpf_probe_read_kernel},
    },
    macros::{btf_map, fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use proxy_common::{
    Counter,
    capture::{Captured, HEAD, Note, Settings},
    sizes::{COUNTERS_MAX, DEVICES_MAX},
};

use crate::buffer::{Buffer, SocketBuffer, XdpBuffer, address_of, read};

/// [`HEAD`], as the kernel takes lengths.
#[expect(clippy::cast_possible_truncation, reason = "it is 256")]
const HEAD_LENGTH: u32 = HEAD as u32;

/// What is to be captured.
#[btf_map]
static SETTINGS: Array<Settings, 1> = Array::new();

/// Indexes of the devices that are asked for.
#[btf_map]
static WANTED: HashMap<u32, u32, { DEVICES_MAX }> = HashMap::new();

/// The instance's map of this name takes its place.
#[btf_map]
static COUNTERS: PerCpuArray<u64, { COUNTERS_MAX }> = PerCpuArray::new();

/// What is noted while an XDP program runs.
#[btf_map]
static XDP_NOTES: PerCpuArray<Note, 1> = PerCpuArray::new();

/// What is noted while a TC program runs.
#[btf_map]
static TC_NOTES: PerCpuArray<Note, 1> = PerCpuArray::new();

/// The captured packets.
#[btf_map]
static EVENTS: PerfEventByteArray = PerfEventByteArray::new();

/// An XDP program begins.
#[fentry]
pub fn xdp_received(ctx: FEntryContext) -> i32 {
    let _ = receive::<XdpBuffer>(ctx.arg(0), &XDP_NOTES);
    0
}

/// An XDP program has ended.
#[fexit]
pub fn xdp_sent(ctx: FExitContext) -> i32 {
    let _ = send::<XdpBuffer>(&ctx, &XDP_NOTES);
    0
}

/// A TC program begins.
#[fentry]
pub fn tc_received(ctx: FEntryContext) -> i32 {
    let _ = receive::<SocketBuffer>(ctx.arg(0), &TC_NOTES);
    0
}

/// A TC program has ended.
#[fexit]
pub fn tc_sent(ctx: FExitContext) -> i32 {
    let _ = send::<SocketBuffer>(&ctx, &TC_NOTES);
    0
}

/// Notes the packet as it is received.
#[inline(always)]
fn receive<B: Buffer>(buffer: *const c_void, notes: &PerCpuArray<Note, 1>) -> Option<()> {
    let note = notes.get_ptr_mut(0)?;
    let settings = SETTINGS.get(0)?;
    // SAFETY: `note` is this CPU's element, which no other program uses meanwhile.
    let note = unsafe { &mut *note };
    note.buffer = 0;
    let address = address_of(buffer, &mut note.address);
    let view = B::view(buffer, address, &settings.offsets)?;
    let device = read::<u32>(view.device, settings.offsets.device_index)?;
    if settings.by_device != 0 && WANTED.get_ptr(device).is_none() {
        return None;
    }
    let length = if view.linear > HEAD_LENGTH { HEAD_LENGTH } else { view.linear };
    let head = (&raw mut note.captured.head).cast();
    // SAFETY: the kernel checks the source, and at most HEAD bytes are written.
    if unsafe { bpf_probe_read_kernel(head, length, view.data as *const c_void) } != 0 {
        return None;
    }
    note.captured.head_length = length;
    note.captured.received_length = view.length;
    note.captured.device = device;
    for (number, counter) in note.counters.iter_mut().enumerate().take(Counter::ALL.len()) {
        *counter = counted(number)?;
    }
    // SAFETY: the helper takes nothing.
    note.captured.received_at = unsafe { bpf_ktime_get_ns() };
    note.buffer = address;
    Some(())
}

/// Hands over the packet, if it is wanted, as it is when the traced program has ended.
#[inline(always)]
fn send<B: Buffer>(ctx: &FExitContext, notes: &PerCpuArray<Note, 1>) -> Option<()> {
    let buffer: *const c_void = ctx.arg(0);
    // SAFETY: as in `receive`.
    let note = unsafe { &mut *notes.get_ptr_mut(0)? };
    let address = address_of(buffer, &mut note.address);
    if note.buffer != address {
        return None;
    }
    note.buffer = 0;
    let settings = SETTINGS.get(0)?;
    let counters = raised(note)?;
    // The result follows the one argument.
    let action: i32 = ctx.arg(1);
    let is_touched = counters != 0 || !B::is_pass(action);
    if (settings.all == 0 && !is_touched) || (settings.counters != 0 && counters & settings.counters == 0) {
        return None;
    }
    let length = B::length(buffer, address, &settings.offsets)?;
    let bytes = if length < settings.snaplen { length } else { settings.snaplen };
    let captured = &mut note.captured;
    // SAFETY: the helpers take the program's context, and nothing.
    let (program, sent_at) = unsafe { (bpf_get_attach_cookie(ctx.as_ptr()), bpf_ktime_get_ns()) };
    #[expect(clippy::cast_possible_truncation, reason = "ids have 32 bits")]
    {
        captured.program = program as u32;
    }
    (captured.sent_at, captured.counters, captured.action) = (sent_at, counters, action);
    (captured.sent_length, captured.bytes) = (length, bytes);
    let flags = u64::from(bytes) << 32 | BPF_F_CURRENT_CPU;
    let events = (&raw const EVENTS).cast_mut().cast();
    B::output(buffer, events, flags, (&raw mut *captured).cast(), size_of::<Captured>() as u64);
    Some(())
}

/// How often each counter was raised, two bits for each. `None` if COUNTERS lacks one.
#[inline(always)]
fn raised(note: &Note) -> Option<u64> {
    let mut raised = 0;
    for (number, before) in note.counters.iter().enumerate().take(Counter::ALL.len()) {
        let more = counted(number)?.wrapping_sub(*before);
        // No comparison, which would be a branch: the verifier would follow every combination of them.
        raised |= (more & 3) << (2 * number);
    }
    Some(raised)
}

/// This CPU's value of a counter; `None` if COUNTERS lacks it.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "there are few counters")]
fn counted(number: usize) -> Option<u64> {
    // SAFETY: an aligned word of a map, which the traced program changes between two calls.
    COUNTERS.get_ptr(number as u32).map(|value| unsafe { ptr::read_volatile(value) })
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
