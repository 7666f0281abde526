//! What a TCP or SCTP socket remembers: the frontend it dialled, to be shown as its peer. By cookie in
//! SOCKET_CONNECTIONS, since making socket storage takes longer than all else that a connect costs. An entry goes with
//! its socket. `peer.rs` has storage for sockets that find no place here.
//!
//! A cookie claims its place with one atomic operation. Nobody but the socket reads or writes what is there, and its own system
//! calls exclude one another: getpeername(2) fails until connect(2) is done with the entry.

use core::arch::asm;

use proxy_common::{Connection, ConnectionSet, Counter, Frontend, connection::WAYS};

use super::context::Socket;
use crate::{
    counters::count,
    maps::{CONNECTION_SETS, SOCKET_CONNECTIONS},
};

/// Remembers what the socket connects to; false if there is no room. A socket that has an entry keeps its place: entries can be
/// replaced where all places are taken, too.
///
/// The kernel closes sockets that it has made itself without `sock_release`. Those that it makes again and again get no
/// entry, else entries would pile up: parts of MPTCP sockets, and sockets bound to a port, as an NFS mount's are.
#[inline(always)]
#[must_use]
pub fn remember<S: Socket>(socket: &S, frontend: &Frontend, backend: &Frontend) -> bool {
    let cookie = socket.cookie();
    if socket.is_bound() || !socket.whole().is_null() {
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
        set.leave(way);
    }
}

/// An element of SOCKET_CONNECTIONS. Other CPUs read and write the places of other sockets in it meanwhile.
#[derive(Clone, Copy)]
struct Set(*mut ConnectionSet);

impl Set {
    /// The set in which this socket may have its place.
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

    /// Takes a free place.
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

    /// Leaves a place to other sockets.
    #[inline(always)]
    fn leave(self, way: u32) {
        // SAFETY: an aligned word, which is written at once.
        unsafe { self.cookie(way).write_volatile(0) };
    }

    #[inline(always)]
    fn read(self, way: u32) -> Connection {
        // SAFETY: the place is the socket's, so that nobody writes it meanwhile.
        unsafe { self.connection(way).read() }
    }

    #[inline(always)]
    fn write(self, way: u32, connection: Connection) {
        // SAFETY: as in `read`; nobody reads it either.
        unsafe { self.connection(way).write(connection) };
    }
}
