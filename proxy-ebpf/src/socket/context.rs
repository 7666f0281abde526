//! The only code that touches `bpf_sock_addr` and `bpf_sock`: the dialled address, read and written per family, and
//! the socket itself.

use core::{arch::asm, ffi::c_void, mem::offset_of, ptr::null_mut};

use aya_ebpf::{
    EbpfContext as _,
    bindings::{bpf_sock, bpf_sock_addr},
    helpers::{bpf_get_netns_cookie, bpf_get_socket_cookie, generated::bpf_skc_to_mptcp_sock},
    programs::{SockAddrContext, SockContext},
};
use proxy_common::{Address, Frontend, Protocol};

use crate::maps::HAS_MPTCP;

/// The context of a socket-address hook of either family.
pub trait Socket: Sized {
    /// The hook with this context.
    fn from_context(context: SockAddrContext) -> Self;

    /// The context as aya knows it.
    fn context(&self) -> &SockAddrContext;

    /// The address that the application gave or will be shown.
    fn address(&self) -> Address;

    /// The address that the socket is bound to; the unspecified one if it is not bound.
    fn bound_address(&self) -> Address;

    /// Replaces [`address`](Self::address). An IPv4 context takes the last four bytes.
    fn set_address(&self, address: Address);

    /// The kernel's view of the call.
    #[inline(always)]
    fn raw(&self) -> *mut bpf_sock_addr {
        self.context().sock_addr
    }

    /// The socket's transport protocol, if it is one of Services.
    #[inline(always)]
    fn protocol(&self) -> Option<Protocol> {
        // SAFETY: the kernel passes a valid context; the verifier checks every access.
        Protocol::from_number(unsafe { (*self.raw()).protocol })
    }

    /// The address and port that the application gave or will be shown, and the protocol.
    #[inline(always)]
    fn remote(&self, protocol: Protocol) -> Frontend {
        // SAFETY: as in `protocol`.
        let port = unsafe { (*self.raw()).user_port };
        #[expect(clippy::cast_possible_truncation, reason = "16 bits in network byte order")]
        let port = u16::from_be(port as u16);
        Frontend::new(self.address(), port, protocol as u8)
    }

    /// Replaces the address and port of [`remote`](Self::remote).
    #[inline(always)]
    fn set_remote(&self, remote: &Frontend) {
        self.set_address(remote.address);
        // SAFETY: as in `protocol`.
        unsafe { (*self.raw()).user_port = u32::from(remote.port.to_be()) };
    }

    /// The socket, for socket-local storage.
    #[inline(always)]
    fn sk(&self) -> *mut c_void {
        let sk: *mut c_void;
        // SAFETY: reads one pointer of the context, which is valid. In assembly, because the compiler would share the field's
        // address among several reads, and the verifier refuses a modified context pointer.
        unsafe {
            asm!(
                "{sk} = *(u64 *)({ctx} + {offset})",
                sk = out(reg) sk,
                ctx = in(reg) self.raw(),
                offset = const offset_of!(bpf_sock_addr, __bindgen_anon_1),
                options(pure, readonly, nostack),
            );
        }
        sk
    }

    /// The MPTCP socket that the application holds, if this socket is a subflow of it. For an MPTCP connection, connect(2) sees
    /// the TCP socket that the kernel has made, but getpeername(2) sees the MPTCP socket. Null for every other socket.
    #[inline(always)]
    fn mptcp_sk(&self) -> *mut c_void {
        if HAS_MPTCP.load() == 0 {
            return null_mut();
        }
        // SAFETY: the helper takes the hook's socket.
        unsafe { bpf_skc_to_mptcp_sock(self.sk()).cast() }
    }

    /// Whether the socket has a local port already. A connecting socket that has one was bound to it.
    #[inline(always)]
    fn is_bound(&self) -> bool {
        // SAFETY: the hook holds the socket.
        unsafe { (*self.sk().cast::<bpf_sock>()).src_port != 0 }
    }

    /// The number that identifies the socket for as long as the machine runs.
    #[inline(always)]
    fn cookie(&self) -> u64 {
        // SAFETY: the helper takes the hook's context.
        unsafe { bpf_get_socket_cookie(self.context().as_ptr()) }
    }

    /// The number that identifies the socket's network namespace, which is the client for session affinity (S25).
    #[inline(always)]
    fn netns(&self) -> u64 {
        // SAFETY: the helper takes the hook's context.
        unsafe { bpf_get_netns_cookie(self.context().as_ptr()) }
    }
}

/// An IPv4 hook.
pub struct Ipv4Socket(pub SockAddrContext);

impl Socket for Ipv4Socket {
    #[inline(always)]
    fn from_context(context: SockAddrContext) -> Self {
        Self(context)
    }

    #[inline(always)]
    fn context(&self) -> &SockAddrContext {
        &self.0
    }

    #[inline(always)]
    fn address(&self) -> Address {
        // SAFETY: as in `Socket::protocol`.
        Address::from_ipv4_word(unsafe { (*self.raw()).user_ip4 })
    }

    #[inline(always)]
    fn bound_address(&self) -> Address {
        // SAFETY: the hook holds the socket.
        Address::from_ipv4_word(unsafe { (*self.sk().cast::<bpf_sock>()).src_ip4 })
    }

    #[inline(always)]
    fn set_address(&self, address: Address) {
        // SAFETY: as in `Socket::protocol`.
        unsafe { (*self.raw()).user_ip4 = address.words()[3] };
    }
}

/// An IPv6 hook.
pub struct Ipv6Socket(pub SockAddrContext);

impl Socket for Ipv6Socket {
    #[inline(always)]
    fn from_context(context: SockAddrContext) -> Self {
        Self(context)
    }

    #[inline(always)]
    fn context(&self) -> &SockAddrContext {
        &self.0
    }

    #[inline(always)]
    fn address(&self) -> Address {
        // SAFETY: as in `Socket::protocol`. Word by word and volatile: the verifier accepts only aligned
        // 4- and 8-byte accesses at constant offsets from the unmodified context pointer.
        unsafe {
            let words = &raw const (*self.raw()).user_ip6;
            Address::from_words([
                (&raw const (*words)[0]).read_volatile(),
                (&raw const (*words)[1]).read_volatile(),
                (&raw const (*words)[2]).read_volatile(),
                (&raw const (*words)[3]).read_volatile(),
            ])
        }
    }

    #[inline(always)]
    fn bound_address(&self) -> Address {
        let sk = self.sk().cast::<bpf_sock>();
        // SAFETY: the hook holds the socket. Word by word, as above.
        unsafe {
            let words = &raw const (*sk).src_ip6;
            Address::from_words([
                (&raw const (*words)[0]).read_volatile(),
                (&raw const (*words)[1]).read_volatile(),
                (&raw const (*words)[2]).read_volatile(),
                (&raw const (*words)[3]).read_volatile(),
            ])
        }
    }

    #[inline(always)]
    fn set_address(&self, address: Address) {
        let words = address.words();
        // SAFETY: as in `address`.
        unsafe {
            let target = &raw mut (*self.raw()).user_ip6;
            (&raw mut (*target)[0]).write_volatile(words[0]);
            (&raw mut (*target)[1]).write_volatile(words[1]);
            (&raw mut (*target)[2]).write_volatile(words[2]);
            (&raw mut (*target)[3]).write_volatile(words[3]);
        }
    }
}

/// The context of a closing socket.
pub struct Closing(pub SockContext);

impl Closing {
    /// The socket's transport protocol, if it is one of Services.
    #[inline(always)]
    pub fn protocol(&self) -> Option<Protocol> {
        // SAFETY: as in `Socket::protocol`.
        Protocol::from_number(unsafe { (*self.0.sock).protocol })
    }

    /// The socket's cookie, as [`Socket::cookie`].
    #[inline(always)]
    pub fn cookie(&self) -> u64 {
        // SAFETY: the helper takes the hook's context.
        unsafe { bpf_get_socket_cookie(self.0.as_ptr()) }
    }
}
