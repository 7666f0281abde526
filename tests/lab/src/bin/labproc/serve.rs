//! Backends: TCP and UDP, or SCTP, at one address, each request answered with the server's identity or its own bytes.

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
use socket2::{Domain, Protocol, Socket, Type};

use crate::open::failure;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Longest datagram: larger than any packet.
const LARGEST: usize = 16_384;

/// An address that is served until this is dropped. Accepted connections are served until their client closes them.
pub struct Listening {
    /// Closed to end the thread.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Listening {
    /// Binds both sockets and starts to serve.
    pub fn start(name: String, at: SocketAddr, mode: Mode) -> Result<Self, Failure> {
        let begin = || {
            let (tcp, udp) = (bind(at, Type::STREAM, None)?, bind(at, Type::DGRAM, None)?);
            Self::serve(Sockets { streams: tcp.into(), udp: Some(udp.into()) }, Identity { name, mode })
        };
        begin().map_err(|error: io::Error| failure(Step::Listen, &error, Duration::ZERO))
    }

    /// Binds an SCTP socket and starts to serve.
    pub fn start_sctp(name: String, at: SocketAddr) -> Result<Self, Failure> {
        let begin = || {
            let sctp = bind(at, Type::STREAM, Some(Protocol::SCTP))?;
            Self::serve(Sockets { streams: sctp.into(), udp: None }, Identity { name, mode: Mode::Identity })
        };
        begin().map_err(|error: io::Error| failure(Step::Listen, &error, Duration::ZERO))
    }

    fn serve(sockets: Sockets, who: Identity) -> io::Result<Self> {
        let (stopped, stop) = io::pipe()?;
        let who = Arc::new(who);
        let thread = thread::spawn(move || while sockets.serve_next(&stopped, &who).unwrap_or(true) {});
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        drop(self.stop.take());
        // The thread closes the sockets when it ends, so it has to be waited for.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A bound socket, listening if it can.
fn bind(at: SocketAddr, kind: Type, protocol: Option<Protocol>) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(at), kind, protocol)?;
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

/// The server's identity, and what it answers.
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
    /// TCP, or SCTP, which reads and writes like it.
    streams: TcpListener,
    udp: Option<UdpSocket>,
}

impl Sockets {
    /// Waits for a connection, a datagram or the end (false). The failure of one client does not end the server.
    fn serve_next(&self, stopped: &io::PipeReader, who: &Arc<Identity>) -> io::Result<bool> {
        let datagrams = self.udp.iter().map(UdpSocket::as_fd);
        let sockets = [stopped.as_fd(), self.streams.as_fd()].into_iter().chain(datagrams);
        let mut polled: Vec<_> = sockets.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        poll(&mut polled, PollTimeout::NONE)?;
        let is_ready = |index: usize| polled.get(index).is_some_and(|fd| fd.any().unwrap_or(false));
        let (end, connection, datagram) = (is_ready(0), is_ready(1), is_ready(2));
        if end {
            return Ok(false);
        }
        if connection {
            let (stream, client) = self.streams.accept()?;
            let who = Arc::clone(who);
            thread::spawn(move || converse(&stream, client, &who));
        }
        if let Some(udp) = self.udp.as_ref().filter(|_| datagram) {
            answer(udp, who)?;
        }
        Ok(true)
    }
}

fn answer(udp: &UdpSocket, who: &Identity) -> io::Result<()> {
    let mut datagram = [0; LARGEST];
    let (length, client) = udp.recv_from(&mut datagram)?;
    let text = who.line(udp.local_addr()?, client);
    let answer = if who.mode == Mode::Echo { &datagram[..length] } else { text.as_bytes() };
    udp.send_to(answer, client).map(drop)
}

/// Serves one connection until the client closes it.
fn converse(stream: &TcpStream, client: SocketAddr, who: &Identity) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    // Fails on SCTP, which lacks this option of TCP.
    let _ = stream.set_nodelay(true);
    let (mut input, mut output) = (stream, stream);
    if who.mode == Mode::Echo {
        return io::copy(&mut input, &mut output).map(drop);
    }
    let answer = who.line(stream.local_addr()?, client);
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        if line.starts_with(b"GET ") {
            return respond(&mut input, &mut output, &who.name);
        }
        output.write_all(answer.as_bytes())?;
        line.clear();
    }
    Ok(())
}

/// Answers a request of HTTP, whose headers are still to be read: a connection with unread bytes would be reset.
fn respond(input: &mut impl BufRead, output: &mut impl Write, name: &str) -> io::Result<()> {
    let mut header = String::new();
    while input.read_line(&mut header)? > 2 {
        header.clear();
    }
    let length = name.len() + 1;
    write!(output, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{name}\n")
}
