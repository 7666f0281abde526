//! The conversations that a client should hold.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

use super::TIMEOUT;
use crate::wait::scaled;

/// Protocol and calls of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    /// TCP: connect, send, receive.
    Tcp,
    /// UDP: connect, send, receive.
    UdpConnected,
    /// UDP: `sendto` and `recvfrom`, never connected.
    UdpUnconnected,
    /// SCTP: connect, send, receive, on a socket of one-to-one style (RFC 6458 §4).
    Sctp,
}

/// Conversations of one request and one answer, each on a fresh socket of the family of `to`: an IPv4-mapped address
/// is dialled on an IPv6 socket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dial {
    pub(crate) transport: Transport,
    pub(crate) to: SocketAddr,
    pub(crate) bind: Option<SocketAddr>,
    pub(crate) count: usize,
    pub(crate) timeout: Duration,
}

impl Dial {
    /// One conversation; `bind`, `count` and `timeout` refine it.
    pub fn new(transport: Transport, to: SocketAddr) -> Self {
        Self { transport, to, bind: None, count: 1, timeout: scaled(TIMEOUT) }
    }

    /// Source address and port; port 0 leaves the port to the kernel.
    #[must_use]
    pub fn bind(mut self, from: SocketAddr) -> Self {
        self.bind = Some(from);
        self
    }

    /// Sets the number of conversations.
    #[must_use]
    pub fn count(mut self, count: usize) -> Self {
        self.count = count;
        self
    }

    /// Sets the limit for each step of a conversation.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = scaled(timeout);
        self
    }

    /// Protocol and calls of the conversations.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// The address that is dialled.
    pub fn to(&self) -> SocketAddr {
        self.to
    }

    /// The source address, if chosen.
    pub fn source(&self) -> Option<SocketAddr> {
        self.bind
    }

    /// Number of conversations.
    pub fn repeats(&self) -> usize {
        self.count
    }

    /// The limit for each step.
    pub fn limit(&self) -> Duration {
        self.timeout
    }
}
