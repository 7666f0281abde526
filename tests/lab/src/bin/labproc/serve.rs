//! Backends: TCP and UDP at one address, each request answered with the server's identity or its own bytes.

use std::{
    io::{self, BufRead, BufReader, PipeWriter, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsFd,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use lab::{Failure, Mode, Step};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Socket, Type};

use crate::open::failure;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Longest datagram: what a packet holds, with room.
const LARGEST: usize = 16_384;

/// An address that is served until this is dropped. Accepted connections are served until their client leaves.
pub struct Listening {
    /// Closed to end the thread.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Listening {
    /// Binds both sockets and starts to serve.
    pub fn start(name: String, at: SocketAddr, mode: Mode) -> Result<Self, Failure> {
        let begin = || {
            let sockets = Sockets { tcp: bind(at, Type::STREAM)?.into(), udp: bind(at, Type::DGRAM)?.into() };
            let (stopped, stop) = io::pipe()?;
            let who = Arc::new(Identity { name, mode });
            let thread = thread::spawn(move || while sockets.serve_next(&stopped, &who).unwrap_or(true) {});
            Ok(Self { stop: Some(stop), thread: Some(thread) })
        };
        begin().map_err(|error: io::Error| failure(Step::Listen, &error, Duration::ZERO))
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        drop(self.stop.take());
        // The sockets are closed when the thread has ended, not before.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A bound socket, listening if it can.
fn bind(at: SocketAddr, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(at), kind, None)?;
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&at.into())?;
    if kind == Type::STREAM {
        socket.listen(BACKLOG)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Who answers, and how.
struct Identity {
    name: String,
    mode: Mode,
}

impl Identity {
    fn line(&self, local: SocketAddr, client: SocketAddr) -> String {
        format!("{} {local} client={client}\n", self.name)
    }
}

struct Sockets {
    tcp: TcpListener,
    udp: UdpSocket,
}

impl Sockets {
    /// Waits for a connection, a datagram or the end (false). A failure of one client is no reason to end.
    fn serve_next(&self, stopped: &io::PipeReader, who: &Arc<Identity>) -> io::Result<bool> {
        let mut ready =
            [stopped.as_fd(), self.tcp.as_fd(), self.udp.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        poll(&mut ready, PollTimeout::NONE)?;
        let [end, connection, datagram] = ready.map(|fd| fd.any().unwrap_or(false));
        if end {
            return Ok(false);
        }
        if connection {
            let (stream, client) = self.tcp.accept()?;
            let who = Arc::clone(who);
            thread::spawn(move || converse(&stream, client, &who));
        }
        if datagram {
            self.answer(who)?;
        }
        Ok(true)
    }

    fn answer(&self, who: &Identity) -> io::Result<()> {
        let mut datagram = [0; LARGEST];
        let (length, client) = self.udp.recv_from(&mut datagram)?;
        let text = who.line(self.udp.local_addr()?, client);
        let answer = if who.mode == Mode::Echo { &datagram[..length] } else { text.as_bytes() };
        self.udp.send_to(answer, client).map(drop)
    }
}

/// Serves one connection until the client closes it.
fn converse(stream: &TcpStream, client: SocketAddr, who: &Identity) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    let (mut input, mut output) = (stream, stream);
    if who.mode == Mode::Echo {
        return io::copy(&mut input, &mut output).map(drop);
    }
    let answer = who.line(stream.local_addr()?, client);
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        output.write_all(answer.as_bytes())?;
        line.clear();
    }
    Ok(())
}
