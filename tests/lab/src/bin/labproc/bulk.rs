//! Large transfers: sends a pattern whose blocks all differ, and compares what comes back.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use lab::{Failure, Step};
use socket2::{Domain, Socket, Type};

use crate::open::step;

/// The size of a block of the pattern. Blocks differ in the number at their beginning only.
const BLOCK: usize = 65_536;

/// The pattern, block by block.
struct Pattern {
    block: Box<[u8]>,
    number: u64,
    left: u64,
}

impl Pattern {
    fn new(bytes: u64) -> Self {
        let mut state = 1_u32;
        let noise = || {
            // xorshift32, Marsaglia 2003.
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[0]
        };
        let block = std::iter::repeat_with(noise).take(BLOCK).collect();
        Self { block, number: 0, left: bytes }
    }

    /// The next block, the last one shorter; `None` after it.
    fn next(&mut self) -> Option<&[u8]> {
        let length = usize::try_from(self.left).unwrap_or(BLOCK).min(BLOCK);
        self.left -= length as u64;
        self.number += 1;
        self.block[..8].copy_from_slice(&self.number.to_le_bytes());
        (length > 0).then(|| &self.block[..length])
    }
}

/// One connection; returns how long it took from its opening to the last byte.
pub fn transfer(to: SocketAddr, bind: Option<SocketAddr>, bytes: u64, timeout: Duration) -> Result<Duration, Failure> {
    let start = Instant::now();
    let stream = step(Step::Connect, || connect(to, bind, timeout))?;
    thread::scope(|scope| {
        let sender = scope.spawn(|| step(Step::Send, || send(&stream, bytes)));
        let received = step(Step::Receive, || receive(&stream, bytes));
        if received.is_err() {
            // The sender may wait for the receiver, so it has a thread of its own.
            let _ = stream.shutdown(Shutdown::Both);
        }
        let sent = sender.join().expect("a sender does not panic");
        received.and(sent)
    })?;
    Ok(start.elapsed())
}

fn connect(to: SocketAddr, bind: Option<SocketAddr>, timeout: Duration) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    if let Some(bind) = bind {
        socket.bind(&bind.into())?;
    }
    socket.set_read_timeout(Some(timeout))?;
    socket.set_write_timeout(Some(timeout))?;
    socket.connect(&to.into())?;
    Ok(socket.into())
}

fn send(mut stream: &TcpStream, bytes: u64) -> io::Result<()> {
    let mut pattern = Pattern::new(bytes);
    while let Some(block) = pattern.next() {
        stream.write_all(block)?;
    }
    stream.shutdown(Shutdown::Write)
}

fn receive(mut stream: &TcpStream, bytes: u64) -> io::Result<()> {
    let (mut pattern, mut received) = (Pattern::new(bytes), vec![0; BLOCK]);
    while let Some(block) = pattern.next() {
        let received = &mut received[..block.len()];
        stream.read_exact(received)?;
        if received != block {
            return Err(io::Error::from_raw_os_error(libc::EBADMSG));
        }
    }
    Ok(())
}
