//! Whole conversations: open, connect, send, receive, close.

use std::time::{Duration, Instant};

use lab::{Dial, Failure, Kind, Reply, Transport};

use crate::open::Open;

/// Holds all conversations of `dial`, one after the other.
pub fn dial(dial: &Dial) -> Vec<Result<Reply, Failure>> {
    (0..dial.repeats()).map(|_| converse(dial)).collect()
}

fn converse(dial: &Dial) -> Result<Reply, Failure> {
    let start = Instant::now();
    let kind = match (dial.transport(), dial.to().is_ipv4()) {
        (Transport::Tcp, true) => Kind::Tcp4,
        (Transport::Tcp, false) => Kind::Tcp6,
        (Transport::Sctp, true) => Kind::Sctp4,
        (Transport::Sctp, false) => Kind::Sctp6,
        (_, true) => Kind::Udp4,
        (_, false) => Kind::Udp6,
    };
    let mut socket = Open::new(kind, dial.source())?;
    let mut connect = Duration::ZERO;
    if dial.transport() == Transport::UdpUnconnected {
        socket.send(Some(dial.to()), "hello")?;
    } else {
        connect = socket.connect(dial.to(), dial.limit())?;
        socket.send(None, "hello")?;
    }
    let message = socket.receive(dial.limit())?;
    let total = start.elapsed();
    Ok(Reply { message, names: socket.names()?, connect, total })
}
