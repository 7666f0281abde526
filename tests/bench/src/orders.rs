//! The protocol between the benchmark and its client process: one JSON line each way for a block. Also the server's
//! ports.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// One block of measurements to one address.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Order {
    /// The kind of work.
    pub work: Work,
    /// The address: the backend's own or its ClusterIP.
    pub to: SocketAddr,
    /// The number of connects, turns or transfers.
    pub count: u64,
}

/// Kinds of work.
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
    /// One byte there and back by sendto(2) and recvfrom(2).
    UdpUnconnected,
}

impl Work {
    /// The port for this work, at the server and at the Service.
    pub const fn port(self) -> u16 {
        match self {
            Self::Connect => ACCEPT,
            Self::Throughput => SINK,
            Self::Turn | Self::UdpConnected | Self::UdpUnconnected => ECHO,
        }
    }
}

/// The port that accepts and closes.
pub const ACCEPT: u16 = 7001;
/// The port that echoes, by TCP and UDP.
pub const ECHO: u16 = 7002;
/// The port for transfers: reads a length (8 bytes, little endian) and as many bytes, then answers with one byte,
/// repeatedly.
pub const SINK: u16 = 7003;

/// Bytes of a transfer: enough for bulk, few enough that most transfers are undisturbed on a busy machine.
pub const TRANSFER: u64 = 1 << 20;

/// The durations of a block.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Block {
    /// The duration of the whole block, ns; for `Connect` with opening and closing of the sockets.
    pub elapsed: u64,
    /// The duration of each connect, turn or transfer, ns.
    pub samples: Vec<u64>,
}
