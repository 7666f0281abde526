//! What a test and a `labproc` process say to each other: one JSON value per line on the process's stdin and stdout,
//! each [`Request`] answered by one `Result<Response, Failure>`.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

mod dial;
mod outcome;

pub use self::{
    dial::{Dial, Manner},
    outcome::{Failure, Message, Names, Reply, Step},
};

/// How long one socket operation may take unless the test says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(10);

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
    /// The same by SCTP alone.
    ListenSctp {
        /// First word of every answer.
        name: String,
        /// Address and port.
        at: SocketAddr,
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
    Sctp4,
    Sctp6,
}

/// What a server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// A line `NAME LOCAL client=PEER` for each line (TCP) or datagram (UDP) received.
    Identity,
    /// The very bytes received.
    Echo,
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
