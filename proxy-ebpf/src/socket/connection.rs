//! What a TCP or SCTP socket remembers: the frontend it dialled, to be shown as its peer. By cookie in
//! SOCKET_CONNECTIONS, since making socket storage takes longer than all else that a connect costs. An entry goes with
//! its socket. `peer.rs` has storage for sockets that find no place here.

use proxy_common::{Connection, Counter, Frontend};

use super::context::Socket;
use crate::{counters::count, maps::SOCKET_CONNECTIONS};

/// Remembers what the socket connects to; false if the map is full. A socket that has an entry keeps it: entries can be replaced
/// in a full map, too.
///
/// The kernel closes sockets that it has made itself without `sock_release`. Those that it makes again and again get no
/// entry, else entries would pile up: parts of MPTCP sockets, and sockets bound to a port, as an NFS mount's are.
#[inline(always)]
#[must_use]
pub fn remember<S: Socket>(socket: &S, frontend: &Frontend, backend: &Frontend) -> bool {
    if socket.is_bound() || !socket.whole().is_null() {
        remove(socket.cookie());
        return false;
    }
    let connection = Connection { frontend: *frontend, backend: *backend };
    let inserted = SOCKET_CONNECTIONS.insert(socket.cookie(), connection, 0);
    inserted.inspect_err(|_| count(Counter::MapFull)).is_ok()
}

/// The frontend that the socket connected to, if `backend` is its backend.
#[inline(always)]
pub fn recall<S: Socket>(socket: &S, backend: &Frontend) -> Option<Frontend> {
    // SAFETY: the value is copied before anything else runs.
    let connection = unsafe { SOCKET_CONNECTIONS.get(socket.cookie()) }?;
    (connection.backend == *backend).then_some(connection.frontend)
}

/// Removes the entry of the socket with this cookie. Most sockets have none, and a lookup, unlike a removal, takes no lock.
#[inline(always)]
pub fn remove(cookie: u64) {
    if SOCKET_CONNECTIONS.get_ptr(cookie).is_some() {
        // Removing what is absent fails, which is as good.
        let _ = SOCKET_CONNECTIONS.remove(cookie);
    }
}
