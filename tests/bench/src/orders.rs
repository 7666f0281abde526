//! What the benchmark tells its client process, and the ports of the server: one JSON line each way a block.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// One block of measurements to one address.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Order {
    /// What is measured.
    pub work: Work,
    /// Where: the backend's own address or its ClusterIP.
    pub to: SocketAddr,
    /// Connects, turns or transfers.
    pub count: u64,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Work {
    /// Duration of connect(2), TCP.
    Connect,
    /// One byte there and back on an established TCP connection.
    Turn,
    /// [`TRANSFER`] bytes over an established TCP connection, confirmed.
    Throughput,
    /// One byte there and back on a connected UDP socket.
    UdpConnected,
    /// The same by sendto(2) and recvfrom(2).
    UdpUnconnected,
}

impl Work {
    /// The server's port. The Service has the same.
    pub const fn port(self) -> u16 {
        match self {
            Self::Connect => ACCEPT,
            Self::Throughput => SINK,
            Self::Turn | Self::UdpConnected | Self::UdpUnconnected => ECHO,
        }
    }
}

/// Accepts and closes.
pub const ACCEPT: u16 = 7001;
/// Returns what it gets, TCP and UDP.
pub const ECHO: u16 = 7002;
/// Reads a length (8 bytes, little endian) and as many bytes, then answers one byte; again and again.
pub const SINK: u16 = 7003;

/// Bytes of a transfer: long enough to be bulk, short enough that most are undisturbed on a busy machine.
pub const TRANSFER: u64 = 1 << 20;

/// What a block took.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Block {
    /// All of them, ns; for `Connect` with opening and closing of the sockets.
    pub elapsed: u64,
    /// Each one's duration, ns.
    pub samples: Vec<u64>,
}
