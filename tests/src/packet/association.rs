//! The packets of an SCTP association (RFC 9260 §3.2), with the verification tags that their receivers believe.

use super::{End, Packet, sctp};

/// The client's verification tag.
pub const CLIENT_TAG: u32 = 0x1111_1111;
/// The backend's verification tag.
pub const BACKEND_TAG: u32 = 0x2222_2222;

/// Types of chunks.
#[expect(missing_docs, reason = "RFC 9260 §3.2 has them")]
pub mod chunk {
    pub const DATA: u8 = 0;
    pub const INIT: u8 = 1;
    pub const INIT_ACK: u8 = 2;
    pub const HEARTBEAT: u8 = 4;
    pub const ABORT: u8 = 6;
    pub const SHUTDOWN: u8 = 7;
    pub const SHUTDOWN_ACK: u8 = 8;
    pub const COOKIE_ECHO: u8 = 10;
    pub const COOKIE_ACK: u8 = 11;
    pub const SHUTDOWN_COMPLETE: u8 = 14;
}

/// The client's INIT from one end to another.
pub fn init(from: impl Into<End>, to: impl Into<End>) -> Packet {
    sctp(from, to).chunk(chunk::INIT, 0, CLIENT_TAG)
}

/// The backend's INIT ACK from one end to another.
pub fn init_ack(from: impl Into<End>, to: impl Into<End>) -> Packet {
    sctp(from, to).chunk(chunk::INIT_ACK, 0, BACKEND_TAG).tag(CLIENT_TAG)
}

/// Another packet of the client, from one end to another, with the backend's tag.
pub fn from_client(from: impl Into<End>, to: impl Into<End>, kind: u8) -> Packet {
    sctp(from, to).chunk(kind, 0, 77).tag(BACKEND_TAG)
}

/// Another packet of the backend, with the client's tag.
pub fn from_backend(from: impl Into<End>, to: impl Into<End>, kind: u8) -> Packet {
    sctp(from, to).chunk(kind, 0, 77).tag(CLIENT_TAG)
}
