//! SOCKET_CONNECTIONS: the frontend that a connected TCP or SCTP socket dialled, and its backend.

use crate::{pod::pod, service::Frontend};

pod! {
    /// Value of SOCKET_CONNECTIONS; the key is the socket's cookie. It is all that getpeername(2)
    /// needs: TCP connections never expire or move.
    pub struct Connection: 40 {
        /// What the application dialled.
        pub frontend: Frontend,
        /// Where the kernel has connected it; a frontend-shaped key of address, port and protocol.
        pub backend: Frontend,
    }
}
