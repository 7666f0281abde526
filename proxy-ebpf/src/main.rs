//! Waggle's kernel side. Entry points only: each hands its context to a stage of the pipeline and ends
//! in one `finish`. Read `socket.rs` next.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![expect(missing_docs, reason = "the macros of the entry points make items without docs")]

mod affinity;
mod backend;
mod connection;
mod context;
mod counters;
mod maps;
mod peer;
mod service;
mod socket;

use aya_ebpf::{
    macros::{cgroup_sock, cgroup_sock_addr},
    programs::{SockAddrContext, SockContext},
};

use crate::context::{Closing, Ipv4, Ipv6};

/// connect(2) on an IPv4 socket.
#[cgroup_sock_addr(connect4)]
pub fn connect4(ctx: SockAddrContext) -> i32 {
    let socket = Ipv4(ctx);
    socket::finish(&socket, socket::connect(&socket))
}

/// connect(2) on an IPv6 socket, IPv4-mapped addresses included.
#[cgroup_sock_addr(connect6)]
pub fn connect6(ctx: SockAddrContext) -> i32 {
    let socket = Ipv6(ctx);
    socket::finish(&socket, socket::connect(&socket))
}

/// sendto(2) and sendmsg(2) with an address, to an IPv4 (or IPv4-mapped) one.
#[cgroup_sock_addr(sendmsg4)]
pub fn sendmsg4(ctx: SockAddrContext) -> i32 {
    let socket = Ipv4(ctx);
    socket::finish(&socket, socket::sendmsg(&socket))
}

/// sendto(2) and sendmsg(2) with an IPv6 address.
#[cgroup_sock_addr(sendmsg6)]
pub fn sendmsg6(ctx: SockAddrContext) -> i32 {
    let socket = Ipv6(ctx);
    socket::finish(&socket, socket::sendmsg(&socket))
}

/// recvfrom(2) and recvmsg(2) on an IPv4 UDP socket.
#[cgroup_sock_addr(recvmsg4)]
pub fn recvmsg4(ctx: SockAddrContext) -> i32 {
    socket::recvmsg(&Ipv4(ctx))
}

/// recvfrom(2) and recvmsg(2) on an IPv6 UDP socket.
#[cgroup_sock_addr(recvmsg6)]
pub fn recvmsg6(ctx: SockAddrContext) -> i32 {
    socket::recvmsg(&Ipv6(ctx))
}

/// getpeername(2) on an IPv4 socket.
#[cgroup_sock_addr(getpeername4)]
pub fn getpeername4(ctx: SockAddrContext) -> i32 {
    socket::getpeername(&Ipv4(ctx))
}

/// getpeername(2) on an IPv6 socket.
#[cgroup_sock_addr(getpeername6)]
pub fn getpeername6(ctx: SockAddrContext) -> i32 {
    socket::getpeername(&Ipv6(ctx))
}

/// close(2) of the last descriptor of a socket that an application has made, of either family.
#[cgroup_sock(sock_release)]
pub fn sock_release(ctx: SockContext) -> i32 {
    socket::release(&Closing(ctx))
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
