//! SOCKET_CONNECTIONS: the frontend that a connected TCP or SCTP socket dialled, and its backend; a hash table of our own by the
//! socket's cookie.
//!
//! The kernel counts cookies up, so that eight sockets made one after the other share a [`ConnectionSet`]: a cookie is found, or
//! found missing, in one cache line, which is still at hand from the socket before. In the kernel's hash both took longer
//! than all else that a connect costs (docs/adr/0012).

use crate::{pod::pod, service::Frontend};

/// How many sockets a set has room for.
pub const WAYS: u32 = 8;

/// In place of a cookie while the agent writes the connection: no socket has it, so that programs leave it alone.
pub const BUSY: u64 = u64::MAX;

pod! {
    /// Element of SOCKET_CONNECTIONS: those of eight sockets.
    pub struct ConnectionSet: 384 {
        /// The sockets' cookies; 0 where there is room.
        pub cookies: [u64; WAYS as usize],
        /// What each has dialled; of no meaning where there is room.
        pub connections: [Connection; WAYS as usize],
    }

    /// What a socket has dialled. It is all that getpeername(2) needs: TCP connections never expire or move.
    pub struct Connection: 40 {
        /// What the application dialled.
        pub frontend: Frontend,
        /// Where the kernel has connected it; a frontend-shaped key of address, port and protocol.
        pub backend: Frontend,
    }
}

impl ConnectionSet {
    /// The number of the set in which a socket may have its connection, among so many.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "any bits that cookies of neighbours share will do")]
    pub const fn index(cookie: u64, sets: u32) -> u32 {
        // Of no sets there is none to be found.
        match ((cookie / WAYS as u64) as u32).checked_rem(sets) {
            Some(index) => index,
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_made_one_after_the_other_fill_one_set_after_the_other() {
        let sets: [u32; 24] = core::array::from_fn(|cookie| ConnectionSet::index(cookie as u64, 2));
        assert_eq!(sets, [[0; 8], [1; 8], [0; 8]].as_flattened());
        assert_eq!(ConnectionSet::index(u64::MAX, 1), 0);
    }
}
