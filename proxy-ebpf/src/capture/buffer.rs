//! The kernel's buffers of packets, `xdp_buff` and `sk_buff`. Their fields are read by address, at the offsets that the running
//! kernel's BTF gives.

use core::{ffi::c_void, ptr};

use aya_ebpf::{
    bindings::{TC_ACT_OK, TC_ACT_UNSPEC, xdp_action},
    helpers::{
        bpf_probe_read_kernel,
        generated::{bpf_skb_output, bpf_xdp_get_buff_len, bpf_xdp_output},
    },
};
use proxy_common::capture::Offsets;

/// Where a packet is.
pub struct View {
    /// Address of its first byte.
    pub data: u64,
    /// How many bytes are there; the others are in fragments.
    pub linear: u32,
    /// Length of the packet, bytes.
    pub length: u32,
    /// Address of its device.
    pub device: u64,
}

/// A kind of buffer. `buffer` is the traced program's argument, which helpers take; `address` is the same as a number.
pub trait Buffer {
    /// Where the packet is.
    fn view(buffer: *const c_void, address: u64, offsets: &Offsets) -> Option<View>;

    /// Length of the packet, bytes.
    fn length(buffer: *const c_void, address: u64, offsets: &Offsets) -> Option<u32>;

    /// Whether an action lets the packet go on to the stack.
    fn is_pass(action: i32) -> bool;

    /// Hands `size` bytes at `data` over, followed by as many bytes of the packet as `flags` say.
    fn output(buffer: *const c_void, events: *mut c_void, flags: u64, data: *mut c_void, size: u64);
}

/// `struct xdp_buff`.
pub struct XdpBuffer;

/// `struct sk_buff`.
pub struct SocketBuffer;

impl Buffer for XdpBuffer {
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "buffers are a few pages")]
    fn view(buffer: *const c_void, address: u64, offsets: &Offsets) -> Option<View> {
        let data: u64 = read(address, offsets.xdp_data)?;
        let end: u64 = read(address, offsets.xdp_data_end)?;
        let queue: u64 = read(address, offsets.xdp_rxq)?;
        let device = read(queue, offsets.rxq_device)?;
        let length = Self::length(buffer, address, offsets)?;
        Some(View { data, linear: end.wrapping_sub(data) as u32, length, device })
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "packets are short")]
    fn length(buffer: *const c_void, _address: u64, _offsets: &Offsets) -> Option<u32> {
        // SAFETY: to tracing programs the helper takes the kernel's buffer.
        Some(unsafe { bpf_xdp_get_buff_len(buffer.cast_mut().cast()) } as u32)
    }

    #[inline(always)]
    fn is_pass(action: i32) -> bool {
        action == xdp_action::XDP_PASS.cast_signed()
    }

    #[inline(always)]
    fn output(buffer: *const c_void, events: *mut c_void, flags: u64, data: *mut c_void, size: u64) {
        // SAFETY: the kernel checks the arguments. If its buffer is full, it counts the event as lost.
        unsafe { bpf_xdp_output(buffer.cast_mut(), events, flags, data, size) };
    }
}

impl Buffer for SocketBuffer {
    #[inline(always)]
    fn view(buffer: *const c_void, address: u64, offsets: &Offsets) -> Option<View> {
        let length = Self::length(buffer, address, offsets)?;
        let linear = length.wrapping_sub(read(address, offsets.skb_data_length)?);
        let (data, device) = (read(address, offsets.skb_data)?, read(address, offsets.skb_device)?);
        Some(View { data, linear, length, device })
    }

    #[inline(always)]
    fn length(_buffer: *const c_void, address: u64, offsets: &Offsets) -> Option<u32> {
        read(address, offsets.skb_length)
    }

    #[inline(always)]
    fn is_pass(action: i32) -> bool {
        action == TC_ACT_UNSPEC || action == TC_ACT_OK
    }

    #[inline(always)]
    fn output(buffer: *const c_void, events: *mut c_void, flags: u64, data: *mut c_void, size: u64) {
        // SAFETY: as for XDP.
        unsafe { bpf_skb_output(buffer.cast_mut(), events, flags, data, size) };
    }
}

/// The address of a buffer as a number. To the verifier `buffer` is a typed pointer, whose fields can only be read at offsets that
/// are constants of the program; what has been in a map is a number.
#[inline(always)]
pub fn address_of(buffer: *const c_void, room: &mut u64) -> u64 {
    let room: *mut u64 = room;
    // SAFETY: `room` is a reference.
    unsafe {
        ptr::write_volatile(room, buffer as u64);
        ptr::read_volatile(room)
    }
}

/// Reads a value of the kernel's, `offset` bytes behind `address`.
#[inline(always)]
pub fn read<T>(address: u64, offset: u32) -> Option<T> {
    let source = address.wrapping_add(u64::from(offset)) as *const T;
    // SAFETY: the helper fails at an address that can't be read.
    unsafe { bpf_probe_read_kernel(source) }.ok()
}
