//! What a test and a `labproc` process say to each other: one JSON value per line on the process's stdin and stdout,
//! each [`Request`] answered by one `Result<Response, Failure>`.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

use super::wait::patient;

/// How long one socket operation may take unless the test says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// What a `labproc` is told to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    /// Whole conversations on sockets of their own, one after the other; answered by `Outcomes`.
    Dial(Dial),
    /// Sends a pattern to a server that echoes, and compares what comes back; answered by `Connected`, with how long it
    /// took. A difference is a failure to receive with `EBADMSG`.
    Bulk {
        /// Where to.
        to: SocketAddr,
        /// Source address, if chosen.
        bind: Option<SocketAddr>,
        /// How much, each way.
        bytes: u64,
        /// How long nothing may move.
        timeout: Duration,
    },
    /// A socket that stays; answered by `Opened`.
    Open {
        /// Its kind.
        kind: Kind,
        /// Address and port to bind to.
        bind: Option<SocketAddr>,
    },
    /// `connect()` of an open socket; answered by `Connected`.
    Connect {
        /// The handle.
        socket: u32,
        /// Where to.
        to: SocketAddr,
        /// Limit.
        timeout: Duration,
    },
    /// `connect()` of an open socket to `AF_UNSPEC`, which dissolves its connection; answered by `Done`.
    Disconnect {
        /// The handle.
        socket: u32,
    },
    /// Sends a line on an open socket; answered by `Done`.
    Send {
        /// The handle.
        socket: u32,
        /// Destination of `sendto()`; none on connected sockets.
        to: Option<SocketAddr>,
        /// What to send.
        text: String,
    },
    /// Receives a line or datagram; answered by `Received`.
    Receive {
        /// The handle.
        socket: u32,
        /// Limit.
        timeout: Duration,
    },
    /// `getsockname()` and `getpeername()`; answered by `Names`.
    Names {
        /// The handle.
        socket: u32,
    },
    /// Closes an open socket; answered by `Done`.
    Close {
        /// The handle.
        socket: u32,
    },
    /// Serves TCP and UDP at an address until `Unlisten`; answered by `Done`.
    Listen {
        /// First word of every answer.
        name: String,
        /// Address and port.
        at: SocketAddr,
        /// What is answered.
        mode: Mode,
    },
    /// Closes all listening sockets; accepted connections stay. Answered by `Done`.
    Unlisten,
}

/// Kinds of open sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "protocol and family, nothing else")]
pub enum Kind {
    Tcp4,
    Tcp6,
    Mptcp4,
    Mptcp6,
    Udp4,
    Udp6,
}

/// What a server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// A line `NAME LOCAL client=PEER` for each line (TCP) or datagram (UDP) received.
    Identity,
    /// The very bytes received.
    Echo,
}

/// Protocol and manner of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Manner {
    /// connect, send, receive.
    Tcp,
    /// The same on a datagram socket.
    UdpConnected,
    /// `sendto` and `recvfrom`, never connected.
    UdpUnconnected,
}

/// Conversations of one request and one answer, each on a fresh socket of the family of `to`: an IPv4-mapped address
/// is dialled on an IPv6 socket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dial {
    pub(super) manner: Manner,
    pub(super) to: SocketAddr,
    pub(super) bind: Option<SocketAddr>,
    pub(super) count: usize,
    pub(super) timeout: Duration,
}

impl Dial {
    /// One conversation; `bind`, `count` and `timeout` refine it.
    pub fn new(manner: Manner, to: SocketAddr) -> Self {
        Self { manner, to, bind: None, count: 1, timeout: patient(TIMEOUT) }
    }

    /// Source address and port; port 0 leaves the port to the kernel.
    #[must_use]
    pub fn bind(mut self, from: SocketAddr) -> Self {
        self.bind = Some(from);
        self
    }

    /// How many conversations.
    #[must_use]
    pub fn count(mut self, count: usize) -> Self {
        self.count = count;
        self
    }

    /// Limit for each step of a conversation.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = patient(timeout);
        self
    }

    /// How the conversation is held.
    pub fn manner(&self) -> Manner {
        self.manner
    }

    /// Whom it is held with.
    pub fn to(&self) -> SocketAddr {
        self.to
    }

    /// Source address, if chosen.
    pub fn source(&self) -> Option<SocketAddr> {
        self.bind
    }

    /// Number of conversations.
    pub fn repeats(&self) -> usize {
        self.count
    }

    /// Limit per step.
    pub fn limit(&self) -> Duration {
        self.timeout
    }
}

/// What a `labproc` answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Response {
    /// One for each conversation, in order.
    Outcomes(Vec<Result<Reply, Failure>>),
    /// The new socket's handle.
    Opened(u32),
    /// How long `connect()` took.
    Connected(Duration),
    /// A line or datagram.
    Received(Message),
    /// A socket's two ends.
    Names(Names),
    /// Nothing to tell.
    Done,
}

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
