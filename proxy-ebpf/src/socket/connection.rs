//! The frontends that TCP and SCTP sockets have dialled, which are shown as their peers. They are in SOCKET_CONNECTIONS, by
//! cookie, since creating socket storage takes longer than everything else in a connect. An entry is removed with its socket.
//! `peer.rs` has storage for sockets that find no place here.
//!
//! A socket claims a place for its cookie with one atomic operation. Only the socket itself reads or writes its place, and its
//! system calls exclude one another: getpeername(2) fails until connect(2) is done with the entry.

use core::arch::asm;

use proxy_common::{Connection, ConnectionSet, Counter, Frontend, connection::WAYS};

use super::{
    context::{Closing, Socket},
    report,
};
use crate::{
    counters::count,
    maps::{CONNECTION_SETS, SOCKET_CONNECTIONS},
};

/// Remembers the frontend and backend of a connecting socket. Returns false if the socket gets no entry. A socket that has an
/// entry keeps its place, so entries can be replaced even if all places are taken.
///
/// The kernel closes sockets of its own without `sock_release`. Kinds that it makes again and again get no entry, since entries
/// would pile up: subflows of MPTCP sockets, and sockets that are bound to a port, such as those of an NFS mount.
#[inline(always)]
#[must_use]
pub fn remember<S: Socket>(socket: &S, frontend: &Frontend, backend: &Frontend) -> bool {
    let cookie = socket.cookie();
    if socket.is_bound() || !socket.mptcp_sk().is_null() {
        remove(cookie);
        return false;
    }
    let Some(set) = Set::of(cookie) else { return false };
    let Some(way) = set.find(cookie).or_else(|| set.claim(cookie)) else {
        count(Counter::MapFull);
        return false;
    };
    set.write(way, Connection { frontend: *frontend, backend: *backend });
    true
}

/// The frontend that the socket connected to, if `backend` is its backend.
#[inline(always)]
pub fn recall<S: Socket>(socket: &S, backend: &Frontend) -> Option<Frontend> {
    let cookie = socket.cookie();
    let set = Set::of(cookie)?;
    let connection = set.read(set.find(cookie)?);
    (connection.backend == *backend).then_some(connection.frontend)
}

/// Removes the entry of the socket with this cookie. Most sockets have none.
#[inline(always)]
pub fn remove(cookie: u64) {
    if let Some(set) = Set::of(cookie)
        && let Some(way) = set.find(cookie)
    {
        set.release(way);
    }
}

/// Removes the entry of a socket that is closed.
#[inline(always)]
pub fn close(socket: &Closing) {
    let cookie = socket.cookie();
    if let Some(set) = Set::of(cookie)
        && let Some(way) = set.find(cookie)
    {
        report::closed(socket, set.connection(way));
        set.release(way);
    }
}

/// An element of SOCKET_CONNECTIONS. Other CPUs may read and write other sockets' places in it at the same time.
#[derive(Clone, Copy)]
struct Set(*mut ConnectionSet);

impl Set {
    /// The set that a socket with this cookie belongs in.
    #[inline(always)]
    fn of(cookie: u64) -> Option<Self> {
        SOCKET_CONNECTIONS.get_ptr_mut(ConnectionSet::index(cookie, CONNECTION_SETS.load())).map(Self)
    }

    #[inline(always)]
    fn cookie(self, way: u32) -> *mut u64 {
        // SAFETY: `way` is below WAYS, so the place is in the element.
        unsafe { (&raw mut (*self.0).cookies).cast::<u64>().add(way as usize) }
    }

    #[inline(always)]
    fn connection(self, way: u32) -> *mut Connection {
        // SAFETY: as in `cookie`.
        unsafe { (&raw mut (*self.0).connections).cast::<Connection>().add(way as usize) }
    }

    /// The place that has this cookie.
    #[inline(always)]
    fn find(self, cookie: u64) -> Option<u32> {
        // SAFETY: an aligned word, which is read at once.
        (0..WAYS).find(|way| unsafe { self.cookie(*way).read_volatile() } == cookie)
    }

    /// Claims a free place for a cookie.
    #[inline(always)]
    fn claim(self, cookie: u64) -> Option<u32> {
        (0..WAYS).find(|way| {
            let mut found = 0_u64;
            // SAFETY: an aligned word of a map. Written in assembly, since the compiler does not offer BPF's atomic operations.
            unsafe {
                if self.cookie(*way).read_volatile() != 0 {
                    return false;
                }
                asm!(
                    "r0 = cmpxchg_64({place} + 0, r0, {cookie})",
                    place = in(reg) self.cookie(*way),
                    cookie = in(reg) cookie,
                    inout("r0") found,
                    options(nostack),
                );
            }
            found == 0
        })
    }

    /// Frees a place.
    #[inline(always)]
    fn release(self, way: u32) {
        // SAFETY: an aligned word, which is written at once.
        unsafe { self.cookie(way).write_volatile(0) };
    }

    #[inline(always)]
    fn read(self, way: u32) -> Connection {
        // SAFETY: only the socket itself uses its place, in one system call at a time.
        unsafe { self.connection(way).read() }
    }

    #[inline(always)]
    fn write(self, way: u32, connection: Connection) {
        // SAFETY: as in `read`.
        unsafe { self.connection(way).write(connection) };
    }
}
