//! The least that a forwarder with a flow table does: parse, look up the flow with Waggle's key in a hash of the
//! kernel, look up the route, write new Ethernet addresses, transmit. IPv4 and TCP only; it translates nothing.

use core::mem::MaybeUninit;

use aya_ebpf::{
    bindings::{BPF_FIB_LKUP_RET_SUCCESS, bpf_fib_lookup as Route, xdp_action},
    btf_maps::LruHashMap,
    helpers::bpf_fib_lookup,
    macros::btf_map,
    programs::XdpContext,
};
use proxy_common::{Ipv4ConntrackEntry, Ipv4Tuple, sizes::CONNTRACK_MAX};

use crate::at;

/// The flows, with Waggle's key and value.
#[btf_map]
static FLOWS: LruHashMap<Ipv4Tuple, Ipv4ConntrackEntry, CONNTRACK_MAX> = LruHashMap::new();

const ETHERNET: usize = 14;
const AF_INET: u8 = 2;

/// The fields that are read, in network byte order.
#[repr(C, packed(2))]
#[derive(Clone, Copy)]
struct Headers {
    version_length: u8,
    tos: u8,
    total_length: u16,
    identification: u16,
    fragment: u16,
    ttl: u8,
    protocol: u8,
    checksum: u16,
    source: u32,
    destination: u32,
    source_port: u16,
    destination_port: u16,
}

/// The XDP action; `None` for a packet that is not as expected.
#[inline(always)]
pub fn forward(ctx: &XdpContext) -> Option<u32> {
    // SAFETY: `at` checks the bounds; every bit pattern is a number.
    let ether_type = unsafe { *at::<u16>(ctx, 12)? };
    // SAFETY: as above.
    let headers = unsafe { *at::<Headers>(ctx, ETHERNET)? };
    if ether_type != 0x0800_u16.to_be() || headers.version_length != 0x45 || headers.fragment.to_be() & 0x3fff != 0 {
        return None;
    }
    let Headers { source, destination, source_port, destination_port, protocol, .. } = headers;
    let tuple = key(source, destination, source_port, destination_port, protocol);
    let flow = FLOWS.get_ptr_mut(tuple)?;
    // SAFETY: valid until the program ends.
    let flow = unsafe { &*flow };
    send(ctx, flow, &headers)
}

/// The key of a packet's flow, from fields in network byte order. It is built of words, for which the compiler makes
/// the best code.
#[inline(always)]
pub fn key(source: u32, destination: u32, source_port: u16, destination_port: u16, protocol: u8) -> Ipv4Tuple {
    let ports = u32::from(source_port.to_be()) | u32::from(destination_port.to_be()) << 16;
    bytemuck::must_cast([source, destination, ports, protocol.into()])
}

/// Fills the parameters of a route lookup with zeros, in words and in place, for which the compiler makes the best
/// code.
#[inline(always)]
fn clear(route: &mut MaybeUninit<Route>) -> &mut Route {
    let words: *mut u64 = route.as_mut_ptr().cast();
    for word in 0..size_of::<Route>() / 8 {
        // SAFETY: inside of `route`, on the stack, where everything is aligned to eight bytes.
        unsafe { words.add(word).write_volatile(0) };
    }
    // SAFETY: all of it is written: its size is a multiple of eight, and it is numbers only.
    unsafe { route.assume_init_mut() }
}

#[inline(always)]
fn send(ctx: &XdpContext, flow: &Ipv4ConntrackEntry, headers: &Headers) -> Option<u32> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "a small constant")]
    const SIZE: i32 = size_of::<Route>() as i32;
    let mut route = MaybeUninit::uninit();
    let route = clear(&mut route);
    route.family = AF_INET;
    route.l4_protocol = headers.protocol;
    route.sport = flow.source_port.to_be();
    route.dport = flow.destination_port.to_be();
    route.__bindgen_anon_1.tot_len = u16::from_be(headers.total_length);
    route.__bindgen_anon_3.ipv4_src = u32::from_ne_bytes(flow.source);
    route.__bindgen_anon_4.ipv4_dst = u32::from_ne_bytes(flow.destination);
    // SAFETY: the kernel passes a valid context; the parameters live until the call returns.
    let code = unsafe {
        route.ifindex = (*ctx.ctx).ingress_ifindex;
        bpf_fib_lookup(ctx.ctx.cast(), &raw mut *route, SIZE, 0)
    };
    if code != i64::from(BPF_FIB_LKUP_RET_SUCCESS) {
        return None;
    }
    let addresses = at::<[[u16; 3]; 2]>(ctx, 0)?;
    // SAFETY: `at` has checked the bounds, and only this program has the packet.
    unsafe { *addresses = [words(route.dmac), words(route.smac)] };
    Some(xdp_action::XDP_TX)
}

#[inline(always)]
const fn words([a, b, c, d, e, f]: [u8; 6]) -> [u16; 3] {
    [u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d]), u16::from_ne_bytes([e, f])]
}
