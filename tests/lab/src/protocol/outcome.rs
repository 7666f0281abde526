//! The outcomes of operations on sockets.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

/// A received line or datagram.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The line, without its end.
    pub text: String,
    /// The source as `recvfrom()` shows it; `None` on TCP.
    pub from: Option<SocketAddr>,
}

impl Message {
    /// The name of the backend that answered: the first word of an identity line.
    pub fn backend(&self) -> &str {
        self.text.split(' ').next().unwrap_or_default()
    }

    /// The client's address as the backend saw it.
    pub fn seen_client(&self) -> Option<SocketAddr> {
        self.text.split(' ').find_map(|word| word.strip_prefix("client="))?.parse().ok()
    }
}

/// A socket's two addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// The address that `getsockname()` shows.
    pub local: SocketAddr,
    /// The address that `getpeername()` shows; `None` when not connected.
    pub peer: Option<SocketAddr>,
}

/// A conversation that worked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The answer; it has its source where `recvfrom()` was used.
    pub message: Message,
    /// The client socket's addresses after the answer.
    pub names: Names,
    /// The duration of `connect()` alone; zero without one.
    pub connect: Duration,
    /// The duration of the whole conversation.
    pub total: Duration,
}

impl Reply {
    /// The name of the backend that answered.
    pub fn backend(&self) -> &str {
        self.message.backend()
    }

    /// The peer that the client sees: by `getpeername()`, else the source shown by `recvfrom()`.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.names.peer.or(self.message.from)
    }

    /// The client's address as the backend saw it.
    pub fn seen_client(&self) -> Option<SocketAddr> {
        self.message.seen_client()
    }
}

/// A socket operation that failed; many tests expect one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{step:?} failed with {errno} after {elapsed:?}")]
pub struct Failure {
    /// The operation that failed.
    pub step: Step,
    /// The error's name, as `ECONNREFUSED`. It is `ETIMEDOUT` also when the lab's own limit has passed, and `EOF` when
    /// the other side has closed.
    pub errno: String,
    /// How long the operation took.
    pub elapsed: Duration,
}

/// Operations that fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the system calls' names")]
pub enum Step {
    Socket,
    Bind,
    Connect,
    Listen,
    Send,
    Receive,
    Names,
    /// The conversation with the `labproc` process itself: the process has died.
    Labproc,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_line_tells_backend_and_client() {
        let message = Message { text: "p1 10.244.1.2:8080 client=1.2.3.4:5678".into(), from: None };
        assert_eq!(message.backend(), "p1");
        assert_eq!(message.seen_client(), Some("1.2.3.4:5678".parse().unwrap()));
        let message = Message { text: "p1 [fd00::1]:8080 client=[fd00::2]:9".into(), from: None };
        assert_eq!(message.seen_client(), Some("[fd00::2]:9".parse().unwrap()));
    }
}
