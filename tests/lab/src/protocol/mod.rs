//! The protocol between a test and a `labproc` process: one JSON value per line on the process's stdin and stdout.
//! Each [`Request`] is answered by one `Result<Response, Failure>`.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

mod dial;
mod outcome;

pub use self::{
    dial::{Dial, Transport},
    outcome::{Failure, Message, Names, Reply, Step},
};

/// How long one socket operation may take unless the test says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// A request to a `labproc`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    /// Holds whole conversations on sockets of their own, one after the other; answered by `Outcomes`.
    Dial(Dial),
    /// Sends a pattern to a server that echoes, and compares what comes back; answered by `Connected` with the
    /// duration. A difference is a failure to receive with `EBADMSG`.
    Bulk {
        /// The server's address.
        to: SocketAddr,
        /// Source address, if chosen.
        bind: Option<SocketAddr>,
        /// The number of bytes each way.
        bytes: u64,
        /// The longest time without progress.
        timeout: Duration,
    },
    /// Opens a socket that stays; answered by `Opened`.
    Open {
        /// The socket's kind.
        kind: Kind,
        /// Address and port to bind to.
        bind: Option<SocketAddr>,
    },
    /// Connects an open socket; answered by `Connected`.
    Connect {
        /// The handle.
        socket: u32,
        /// The address to connect to.
        to: SocketAddr,
        /// The time limit.
        timeout: Duration,
    },
    /// Connects an open socket to `AF_UNSPEC`, which dissolves its connection; answered by `Done`.
    Disconnect {
        /// The handle.
        socket: u32,
    },
    /// Sends a line on an open socket; answered by `Done`.
    Send {
        /// The handle.
        socket: u32,
        /// The destination of `sendto()`; `None` on connected sockets.
        to: Option<SocketAddr>,
        /// The line to send.
        text: String,
    },
    /// Receives a line or datagram; answered by `Received`.
    Receive {
        /// The handle.
        socket: u32,
        /// The time limit.
        timeout: Duration,
    },
    /// Asks for `getsockname()` and `getpeername()`; answered by `Names`.
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
        /// The first word of every answer.
        name: String,
        /// The address and port to serve at.
        at: SocketAddr,
        /// What the server answers.
        mode: Mode,
    },
    /// Serves SCTP at an address until `Unlisten`; answered by `Done`.
    ListenSctp {
        /// The first word of every answer.
        name: String,
        /// The address and port to serve at.
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

/// The kind of a server's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// A line `NAME LOCAL client=PEER` for each line (TCP) or datagram (UDP) received; for a request of HTTP, the name.
    Identity,
    /// The bytes that were received.
    Echo,
}

/// The response of a `labproc`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Response {
    /// One outcome for each conversation, in order.
    Outcomes(Vec<Result<Reply, Failure>>),
    /// The new socket's handle.
    Opened(u32),
    /// How long `connect()` took.
    Connected(Duration),
    /// A line or datagram that was received.
    Received(Message),
    /// A socket's two addresses.
    Names(Names),
    /// The request has been carried out.
    Done,
}
