//! SOCKET_CONNECTIONS: the frontend that a connected TCP or SCTP socket dialled, and its backend. It is a hash table of our own,
//! with the socket's cookie as the key.
//!
//! The kernel numbers cookies consecutively, so eight sockets that are created one after the other share a [`ConnectionSet`]. One
//! cache line tells whether a cookie is in its set, and that line is usually still cached from the previous socket. An entry in
//! the kernel's hash took longer than everything else in a connect (docs/adr/0012).

use crate::{pod::pod, service::Frontend};

/// Number of sockets in a set.
pub const WAYS: u32 = 8;

/// Stands for a cookie while the agent writes the connection. No socket has this cookie, so programs leave the place alone.
pub const BUSY: u64 = u64::MAX;

pod! {
    /// Element of SOCKET_CONNECTIONS: the connections of eight sockets.
    pub struct ConnectionSet: 384 {
        /// The sockets' cookies. A free place has 0.
        pub cookies: [u64; WAYS as usize],
        /// The socket's connection in each place. Undefined in a free place.
        pub connections: [Connection; WAYS as usize],
    }

    /// What a socket has dialled and where it is connected. getpeername(2) needs no more: TCP connections never expire or move.
    pub struct Connection: 40 {
        /// The frontend that the application dialled.
        pub frontend: Frontend,
        /// The backend that the kernel has connected it to: address, port and protocol in the form of a [`Frontend`].
        pub backend: Frontend,
    }
}

impl ConnectionSet {
    /// The number of the set, out of `sets`, that a socket with this cookie belongs in.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "any bits that cookies of neighbours share will do")]
    pub const fn index(cookie: u64, sets: u32) -> u32 {
        // If there are no sets, none is found at index 0 either.
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
