//! Waggle's kernel side. Entry points only: each hands its context to a stage of the pipeline and ends
//! in one `finish`. Read `socket/mod.rs` and `pipeline.rs` next. Rules are cited by their numbers in docs/semantics.md (S24).
#![no_std]
#![no_main]
#![feature(asm_experimental_arch, core_intrinsics, stmt_expr_attributes)]
#![expect(unsafe_code, reason = "helpers and maps of the kernel are raw pointers")]
#![expect(internal_features, reason = "whether the compiler knows an offset decides how it is checked")]
#![expect(clippy::redundant_closure, reason = "a closure can be marked to be inlined")]
#![expect(missing_docs, reason = "the macros of the entry points make items without docs")]
#![expect(clippy::needless_pass_by_value, reason = "the macros of the entry points hand over the context by value")]

mod affinity;
mod backend;
mod clock;
mod counters;
mod egress;
mod emit;
mod events;
mod filter;
mod flow;
mod foreign;
mod fragment;
mod headers;
mod icmp;
mod keep_backend;
mod live;
mod lookup;
mod maps;
mod node;
mod own;
mod owner;
mod packet;
mod parse;
mod pipeline;
mod reject;
mod route;
mod scratch;
mod service;
mod socket;
mod succession;
mod uplink;

use crate::{
    packet::{BARE, EITHER, FRAME, Skb, Xdp},
    socket::context::{Closing, Ipv4Socket, Ipv6Socket},
};
use aya_ebpf::{
    macros::{cgroup_sock, cgroup_sock_addr, classifier, xdp},
    programs::{SockAddrContext, SockContext, TcContext, XdpContext},
};
use proxy_common::Stage;

/// connect(2) on an IPv4 socket.
#[cgroup_sock_addr(connect4)]
pub fn connect4(ctx: SockAddrContext) -> i32 {
    let socket = Ipv4Socket(ctx);
    socket::finish(&socket, socket::connect(&socket))
}

/// connect(2) on an IPv6 socket, IPv4-mapped addresses included.
#[cgroup_sock_addr(connect6)]
pub fn connect6(ctx: SockAddrContext) -> i32 {
    let socket = Ipv6Socket(ctx);
    socket::finish(&socket, socket::connect(&socket))
}

/// sendto(2) and sendmsg(2) with an address, to an IPv4 (or IPv4-mapped) one.
#[cgroup_sock_addr(sendmsg4)]
pub fn sendmsg4(ctx: SockAddrContext) -> i32 {
    let socket = Ipv4Socket(ctx);
    socket::finish(&socket, socket::sendmsg(&socket))
}

/// sendto(2) and sendmsg(2) with an IPv6 address.
#[cgroup_sock_addr(sendmsg6)]
pub fn sendmsg6(ctx: SockAddrContext) -> i32 {
    let socket = Ipv6Socket(ctx);
    socket::finish(&socket, socket::sendmsg(&socket))
}

/// recvfrom(2) and recvmsg(2) on an IPv4 UDP socket.
#[cgroup_sock_addr(recvmsg4)]
pub fn recvmsg4(ctx: SockAddrContext) -> i32 {
    socket::recvmsg(&Ipv4Socket(ctx))
}

/// recvfrom(2) and recvmsg(2) on an IPv6 UDP socket.
#[cgroup_sock_addr(recvmsg6)]
pub fn recvmsg6(ctx: SockAddrContext) -> i32 {
    socket::recvmsg(&Ipv6Socket(ctx))
}

/// getpeername(2) on an IPv4 socket.
#[cgroup_sock_addr(getpeername4)]
pub fn getpeername4(ctx: SockAddrContext) -> i32 {
    socket::getpeername(&Ipv4Socket(ctx))
}

/// getpeername(2) on an IPv6 socket.
#[cgroup_sock_addr(getpeername6)]
pub fn getpeername6(ctx: SockAddrContext) -> i32 {
    socket::getpeername(&Ipv6Socket(ctx))
}

/// close(2) of the last descriptor of a socket that an application has made, of either family.
#[cgroup_sock(sock_release)]
pub fn sock_release(ctx: SockContext) -> i32 {
    socket::release(&Closing(ctx))
}

/// A packet that a device has received, before the stack sees it.
#[xdp(frags)]
#[inline(always)]
pub fn xdp(ctx: XdpContext) -> u32 {
    Xdp::run(
        ctx,
        #[inline(always)]
        |packet, rooms| pipeline::ingress(packet, rooms),
    )
}

/// The first packet of a flow.
#[xdp(frags)]
pub fn xdp_open(ctx: XdpContext) -> u32 {
    Xdp::run(ctx, pipeline::open)
}

/// A packet whose flow has been found or opened.
#[xdp(frags)]
pub fn xdp_send(ctx: XdpContext) -> u32 {
    Xdp::run(ctx, pipeline::send_stored)
}

/// A packet that has changed its flow.
#[xdp(frags)]
pub fn xdp_refresh(ctx: XdpContext) -> u32 {
    Xdp::run(ctx, pipeline::refresh)
}

/// An ICMP packet that a device has received.
#[xdp(frags)]
pub fn xdp_icmp(ctx: XdpContext) -> u32 {
    Xdp::run(ctx, icmp::ingress)
}

/// Turns a refused packet into a refusal.
#[xdp(frags)]
pub fn xdp_reject(ctx: XdpContext) -> u32 {
    Xdp::reject(ctx, reject::reject)
}

/// A packet on its way from a device into the stack.
#[classifier]
#[inline(always)]
pub fn tc_ingress(ctx: TcContext) -> i32 {
    Skb::<FRAME>::run(
        &ctx,
        #[inline(always)]
        |packet, rooms| pipeline::ingress(packet, rooms),
    )
}

/// A packet on its way from a device without Ethernet frames into the stack.
#[classifier]
#[inline(always)]
pub fn tc_ingress_bare(ctx: TcContext) -> i32 {
    Skb::<BARE>::run(
        &ctx,
        #[inline(always)]
        |packet, rooms| pipeline::ingress(packet, rooms),
    )
}

/// The first packet of a flow.
#[classifier]
pub fn tc_open(ctx: TcContext) -> i32 {
    Skb::<EITHER>::run(&ctx, pipeline::open)
}

/// A packet whose flow has been found or opened.
#[classifier]
pub fn tc_send(ctx: TcContext) -> i32 {
    Skb::<EITHER>::run(&ctx, pipeline::send_stored)
}

/// A packet that has changed its flow.
#[classifier]
pub fn tc_refresh(ctx: TcContext) -> i32 {
    Skb::<EITHER>::run(&ctx, pipeline::refresh)
}

/// ICMP on its way into the stack.
#[classifier]
pub fn tc_icmp(ctx: TcContext) -> i32 {
    Skb::<EITHER>::run(&ctx, icmp::ingress)
}

/// Turns a refused packet into a refusal.
#[classifier]
pub fn tc_reject(ctx: TcContext) -> i32 {
    Skb::<EITHER>::reject(&ctx, reject::reject)
}

/// A packet on its way from the stack to a device.
#[classifier]
pub fn tc_egress(ctx: TcContext) -> i32 {
    Skb::<FRAME>::run(&ctx, egress::egress)
}

/// A packet on its way from the stack to a device without Ethernet frames.
#[classifier]
pub fn tc_egress_bare(ctx: TcContext) -> i32 {
    Skb::<BARE>::run(&ctx, egress::egress)
}

/// A packet from a pod for which only SCTP is handled.
#[classifier]
pub fn tc_sctp_in(ctx: TcContext) -> i32 {
    Skb::<FRAME>::run(&ctx, |packet, _| pipeline::sctp_only(packet, Stage::Ingress))
}

/// A packet to a pod for which only SCTP is handled.
#[classifier]
pub fn tc_sctp_out(ctx: TcContext) -> i32 {
    Skb::<FRAME>::run(&ctx, |packet, _| pipeline::sctp_only(packet, Stage::Egress))
}

/// The reply of a backend on this node that has changed its flow.
#[classifier]
pub fn tc_refresh_egress(ctx: TcContext) -> i32 {
    Skb::<EITHER>::run(&ctx, egress::refresh_egress)
}

/// The reply of a backend on this node, where rules of policy routing look at sources.
#[classifier]
pub fn tc_uplink(ctx: TcContext) -> i32 {
    Skb::<EITHER>::run(&ctx, uplink::reply)
}

/// SCTP from a process of this node to a Service.
#[classifier]
pub fn tc_own(ctx: TcContext) -> i32 {
    Skb::<EITHER>::run(&ctx, own::egress_own)
}

/// A backend's reply to SCTP from a process of this node.
#[classifier]
pub fn tc_own_reply(ctx: TcContext) -> i32 {
    Skb::<EITHER>::run(&ctx, own::reply)
}

/// ICMP on its way from the stack to a device.
#[classifier]
pub fn tc_icmp_egress(ctx: TcContext) -> i32 {
    Skb::<EITHER>::run(&ctx, icmp::egress)
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
