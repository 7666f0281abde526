//! Looks up the socket of this node that a packet would go to, in the kernel's own tables. No reference to a socket is held
//! afterwards.

use core::{ffi::c_void, mem::zeroed};

use aya_ebpf::{
    bindings::{bpf_sock, bpf_sock_tuple},
    helpers::{bpf_sk_lookup_tcp, bpf_sk_lookup_udp, bpf_sk_release},
};
use proxy_common::{Protocol, Tuple};

/// The network namespace of the hook.
const CURRENT_NETNS: u64 = u64::MAX;
/// Numbers of the kernel's socket states (`include/net/tcp_states.h`); datagram sockets are closed or established.
const CLOSED: u32 = 7;
const LISTENING: u32 = 10;

/// A question about the socket that a packet would go to. The answer is all that a lookup returns: the verifier follows each
/// value that it may have.
pub trait Question {
    /// Returns the answer for a socket and a packet with this tuple.
    ///
    /// # Safety
    ///
    /// The caller holds `sk`, and releases it only afterwards. The verifier checks every access.
    unsafe fn answer(sk: *const bpf_sock, tuple: &Tuple) -> bool;
}

/// True if the socket has no peer and is bound to the packet's destination address.
pub struct ListensAtAddress;

impl Question for ListensAtAddress {
    #[inline(always)]
    unsafe fn answer(sk: *const bpf_sock, tuple: &Tuple) -> bool {
        let [a, b, c, d] = tuple.destination.words();
        // SAFETY: the caller holds `sk`.
        unsafe {
            let is_at_address = if tuple.destination.is_ipv4() {
                (*sk).src_ip4 == d
            } else {
                let own = &raw const (*sk).src_ip6;
                ((*own)[0] ^ a) | ((*own)[1] ^ b) | ((*own)[2] ^ c) | ((*own)[3] ^ d) == 0
            };
            is_at_address && !has_peer(sk)
        }
    }
}

/// True if the socket is connected to the packet's sender.
pub struct IsConnected;

impl Question for IsConnected {
    #[inline(always)]
    unsafe fn answer(sk: *const bpf_sock, _: &Tuple) -> bool {
        // SAFETY: the caller holds `sk`.
        unsafe { has_peer(sk) }
    }
}

/// True if the socket receives packets with this tuple that open no connection: a UDP socket always, a TCP socket if it has a peer.
pub struct WouldReceive;

impl Question for WouldReceive {
    #[inline(always)]
    unsafe fn answer(sk: *const bpf_sock, tuple: &Tuple) -> bool {
        // SAFETY: the caller holds `sk`.
        tuple.protocol == Protocol::Udp as u8 || unsafe { has_peer(sk) }
    }
}

/// Whether a socket has a peer. The kernel finds such a socket only for packets of the peer.
///
/// # Safety
///
/// The caller holds `sk`, as for [`Question::answer`].
#[inline(always)]
unsafe fn has_peer(sk: *const bpf_sock) -> bool {
    // SAFETY: the caller holds `sk`.
    ![CLOSED, LISTENING].contains(&unsafe { (*sk).state })
}

/// Asks about the socket that a packet with this tuple would go to. Without such a socket the answer is no. The kernel has no such
/// lookup for SCTP.
#[inline(always)]
pub fn owner_is<Q: Question>(context: *mut c_void, tuple: &Tuple) -> bool {
    match Protocol::from_number(tuple.protocol.into()) {
        Some(Protocol::Tcp) => ask_tcp::<Q>(context, tuple),
        Some(Protocol::Udp) => ask_udp::<Q>(context, tuple),
        _ => false,
    }
}

/// Each helper has its own function: otherwise the compiler would merge their calls into one by a pointer, which the kernel
/// refuses.
#[inline(never)]
fn ask_tcp<Q: Question>(context: *mut c_void, tuple: &Tuple) -> bool {
    let (mut key, size) = key(tuple);
    // SAFETY: the helper takes the hook's context and reads the key.
    ask::<Q>(unsafe { bpf_sk_lookup_tcp(context, &raw mut key, size, CURRENT_NETNS, 0) }, tuple)
}

#[inline(never)]
fn ask_udp<Q: Question>(context: *mut c_void, tuple: &Tuple) -> bool {
    let (mut key, size) = key(tuple);
    // SAFETY: the helper takes the hook's context and reads the key.
    ask::<Q>(unsafe { bpf_sk_lookup_udp(context, &raw mut key, size, CURRENT_NETNS, 0) }, tuple)
}

#[inline(always)]
fn ask<Q: Question>(sk: *mut bpf_sock, tuple: &Tuple) -> bool {
    if sk.is_null() {
        return false;
    }
    // SAFETY: the helper has handed `sk` over to this function, which holds it until it releases it.
    unsafe {
        let answer = Q::answer(sk, tuple);
        bpf_sk_release(sk.cast());
        answer
    }
}

/// The helpers' key, and the length of its used part in bytes.
#[inline(always)]
fn key(tuple: &Tuple) -> (bpf_sock_tuple, u32) {
    let (source, destination) = (tuple.source.words(), tuple.destination.words());
    // SAFETY: plain numbers; each member is written before it is read.
    unsafe {
        let mut key: bpf_sock_tuple = zeroed();
        let size = if tuple.destination.is_ipv4() {
            let ipv4 = &mut key.__bindgen_anon_1.ipv4;
            (ipv4.saddr, ipv4.daddr) = (source[3], destination[3]);
            (ipv4.sport, ipv4.dport) = (tuple.source_port.to_be(), tuple.destination_port.to_be());
            size_of_val(ipv4)
        } else {
            let ipv6 = &mut key.__bindgen_anon_1.ipv6;
            (ipv6.saddr, ipv6.daddr) = (source, destination);
            (ipv6.sport, ipv6.dport) = (tuple.source_port.to_be(), tuple.destination_port.to_be());
            size_of_val(ipv6)
        };
        #[expect(clippy::cast_possible_truncation, reason = "36 at most")]
        let size = size as u32;
        (key, size)
    }
}
