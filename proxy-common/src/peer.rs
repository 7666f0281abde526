//! SOCKET_PEERS and SOCKET_FLOWS: the frontends that sockets dialled, and their backends.

use crate::{pod::pod, service::Frontend, shared::parts};

pod! {
    /// Value of SOCKET_PEERS (socket-local storage) and of SOCKET_FLOWS.
    pub struct Peer: 72 {
        /// The frontend that the application dialled.
        pub frontend: Frontend,
        /// The backend that the traffic goes to: address, port and protocol in the form of a [`Frontend`].
        pub backend: Frontend,
        /// Service id.
        pub service: u32,
        /// Backend id.
        pub backend_id: u32,
        /// The backend's generation when it was chosen.
        pub backend_generation: u32,
        /// The service's generation when the backend was last known to be a member.
        pub service_generation: u32,
        /// The flags [`Peer::CONNECTED`] and [`Peer::MANY`].
        pub flags: u32,
        /// The [`List::bit`](crate::List::bit) of the list the backend was chosen from.
        pub list: u32,
        /// Time of the last datagram, ns on the kernel's coarse monotonic clock.
        pub last_used: u64,
    }

    /// Key of SOCKET_FLOWS, for sockets that talk to more than one Service and for connected UDP.
    pub struct Flow: 32 {
        /// The socket's cookie.
        pub cookie: u64,
        /// The frontend or the backend, depending on `role`.
        pub remote: Frontend,
        /// A [`FlowRole`].
        pub role: u32,
    }
}

parts! {
    Peer {
        frontend: Frontend,
        backend: Frontend,
        service: u32,
        backend_id: u32,
        backend_generation: u32,
        service_generation: u32,
        flags: u32,
        last_used: u64
    }
    Frontend { protocol: u8 }
}

/// The meaning of [`Flow::remote`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum FlowRole {
    /// A frontend: the next datagram that is sent to it finds the flow.
    Sent = 1,
    /// A backend: its reply finds the flow.
    Received = 2,
    /// The backend of a connected UDP socket: the agent finds the flow when that backend is removed.
    Connected = 3,
}

impl Flow {
    /// The flow of the socket with this cookie.
    #[inline(always)]
    pub const fn new(cookie: u64, remote: Frontend, role: FlowRole) -> Self {
        Self { cookie, remote, role: role as u32 }
    }
}

impl Peer {
    /// The socket is connected: getpeername(2) shows the frontend.
    pub const CONNECTED: u32 = 1;
    /// The socket has further peers, which are in SOCKET_FLOWS.
    pub const MANY: u32 = 2;
    /// How long an idle unconnected UDP flow keeps its backend, ns.
    pub const TIMEOUT: u64 = 120_000_000_000;

    /// Whether a UDP flow has been idle for longer than `timeout` (ns) at time `now` (ns).
    #[inline(always)]
    pub const fn is_idle(&self, now: u64, timeout: u64) -> bool {
        now.saturating_sub(self.last_used) > timeout
    }
}
