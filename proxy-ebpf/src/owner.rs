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

/// The properties of the socket that a packet would go to. Nothing if there is no such socket.
#[derive(Clone, Copy)]
pub struct SocketOwner(u32);

impl SocketOwner {
    const PRESENT: u32 = 1;
    const CONNECTED: u32 = 2;
    const AT_ADDRESS: u32 = 4;

    /// There is no socket.
    pub const NONE: Self = Self(0);

    /// Whether there is a socket without a peer, bound to the very address that the packet is sent to.
    #[inline(always)]
    pub const fn listens_at_address(self) -> bool {
        self.0 == Self::PRESENT | Self::AT_ADDRESS
    }

    /// Whether there is a socket that would take the packet, provided that it opens no connection. Any UDP socket would, and a
    /// TCP socket that has a peer.
    #[inline(always)]
    pub const fn would_receive(self, tuple: &Tuple) -> bool {
        self.is_connected() || self.0 != 0 && tuple.protocol == Protocol::Udp as u8
    }

    /// Whether there is a socket whose peer is the packet's sender.
    #[inline(always)]
    pub const fn is_connected(self) -> bool {
        self.0 & Self::CONNECTED != 0
    }

    /// The properties of a socket as the kernel shows it.
    #[inline(always)]
    fn of(sk: *const bpf_sock, tuple: &Tuple) -> Self {
        // SAFETY: the caller has found the socket and holds it; the verifier checks every access.
        unsafe {
            let is_waiting = [CLOSED, LISTENING].contains(&(*sk).state);
            let [a, b, c, d] = tuple.destination.words();
            let is_at_address = if tuple.destination.is_ipv4() {
                (*sk).src_ip4 == d
            } else {
                let own = &raw const (*sk).src_ip6;
                ((*own)[0] ^ a) | ((*own)[1] ^ b) | ((*own)[2] ^ c) | ((*own)[3] ^ d) == 0
            };
            let connected = if is_waiting { 0 } else { Self::CONNECTED };
            Self(Self::PRESENT | connected | if is_at_address { Self::AT_ADDRESS } else { 0 })
        }
    }
}

/// Looks up the socket that a packet with this tuple would go to. The kernel has no such lookup for SCTP.
#[inline(always)]
pub fn owner(context: *mut c_void, tuple: &Tuple) -> SocketOwner {
    match Protocol::from_number(tuple.protocol.into()) {
        Some(Protocol::Tcp) => SocketOwner(lookup_tcp(context, tuple)),
        Some(Protocol::Udp) => SocketOwner(lookup_udp(context, tuple)),
        _ => SocketOwner::NONE,
    }
}

/// Each helper has its own function: otherwise the compiler would merge their calls into one by a pointer, which the kernel
/// refuses.
#[inline(never)]
fn lookup_tcp(context: *mut c_void, tuple: &Tuple) -> u32 {
    let (mut key, size) = key(tuple);
    // SAFETY: the helper takes the hook's context and reads the key.
    describe(unsafe { bpf_sk_lookup_tcp(context, &raw mut key, size, CURRENT_NETNS, 0) }, tuple)
}

#[inline(never)]
fn lookup_udp(context: *mut c_void, tuple: &Tuple) -> u32 {
    let (mut key, size) = key(tuple);
    // SAFETY: as above.
    describe(unsafe { bpf_sk_lookup_udp(context, &raw mut key, size, CURRENT_NETNS, 0) }, tuple)
}

#[inline(always)]
fn describe(sk: *mut bpf_sock, tuple: &Tuple) -> u32 {
    if sk.is_null() {
        return 0;
    }
    let owner = SocketOwner::of(sk, tuple);
    // SAFETY: the helper has just handed the socket over.
    unsafe { bpf_sk_release(sk.cast()) };
    owner.0
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
