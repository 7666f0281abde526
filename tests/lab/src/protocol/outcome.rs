//! What came of an operation on a socket.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

/// A received line or datagram.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Without the line's end.
    pub text: String,
    /// Source as `recvfrom()` shows it; none on TCP.
    pub from: Option<SocketAddr>,
}

impl Message {
    /// Who answered: the first word of an identity line.
    pub fn backend(&self) -> &str {
        self.text.split(' ').next().unwrap_or_default()
    }

    /// The client's address as the backend saw it.
    pub fn seen_client(&self) -> Option<SocketAddr> {
        self.text.split(' ').find_map(|word| word.strip_prefix("client="))?.parse().ok()
    }
}

/// A socket's two ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// `getsockname()`.
    pub local: SocketAddr,
    /// `getpeername()`; none when not connected.
    pub peer: Option<SocketAddr>,
}

/// A conversation that worked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The answer; its source where `recvfrom()` was used.
    pub message: Message,
    /// The client socket's ends after the answer.
    pub names: Names,
    /// Duration of `connect()` alone; zero without one.
    pub connect: Duration,
    /// Duration of the whole conversation.
    pub total: Duration,
}

impl Reply {
    /// Who answered.
    pub fn backend(&self) -> &str {
        self.message.backend()
    }

    /// Whom the client believes to talk to: `getpeername()`, else the source shown by `recvfrom()`.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.names.peer.or(self.message.from)
    }

    /// The client's address as the backend saw it.
    pub fn seen_client(&self) -> Option<SocketAddr> {
        self.message.seen_client()
    }
}

/// A socket operation that failed: for many tests the wanted result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{step:?} failed with {errno} after {elapsed:?}")]
pub struct Failure {
    /// Which operation.
    pub step: Step,
    /// The error's name, as `ECONNREFUSED`. `ETIMEDOUT` also when the lab's own limit has passed, `EOF` when the
    /// other side has closed.
    pub errno: String,
    /// How long that operation took.
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
    /// The conversation with the `labproc` process itself: it has died.
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
