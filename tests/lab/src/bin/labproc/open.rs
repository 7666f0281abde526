//! One socket and its operations. Every failure has its step, the name of its errno, and its duration.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use lab::{Failure, Kind, Message, Names, Step};
use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};

/// Longest piece that is received of a line, and longest datagram.
const LONGEST: usize = 16_384;

/// A socket of any kind.
pub struct Open {
    socket: Socket,
    /// A second handle of a datagram socket, for `recvfrom()`.
    datagrams: Option<UdpSocket>,
    /// Bytes received after the last line's end (TCP).
    rest: Vec<u8>,
}

/// The failure of `step`.
pub fn failure(step: Step, error: &io::Error, elapsed: Duration) -> Failure {
    let errno = match error.raw_os_error().map(Errno::from_raw) {
        // The error of a blocking call whose time limit on the socket has passed.
        Some(Errno::EAGAIN | Errno::EINPROGRESS) => "ETIMEDOUT".to_owned(),
        Some(errno) => format!("{errno:?}"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
        None => error.to_string(),
    };
    Failure { step, errno, elapsed }
}

/// Runs one or a few system calls as `step`.
pub fn step<T>(step: Step, call: impl FnOnce() -> io::Result<T>) -> Result<T, Failure> {
    let start = Instant::now();
    call().map_err(|error| failure(step, &error, start.elapsed()))
}

impl Open {
    /// A new socket, bound if wanted.
    pub fn new(kind: Kind, bind: Option<SocketAddr>) -> Result<Self, Failure> {
        let domain = if matches!(kind, Kind::Tcp4 | Kind::Mptcp4 | Kind::Udp4 | Kind::Sctp4) {
            Domain::IPV4
        } else {
            Domain::IPV6
        };
        let stream = !matches!(kind, Kind::Udp4 | Kind::Udp6);
        let protocol = match kind {
            Kind::Mptcp4 | Kind::Mptcp6 => Some(Protocol::MPTCP),
            Kind::Sctp4 | Kind::Sctp6 => Some(Protocol::SCTP),
            _ => None,
        };
        let typ = if stream { Type::STREAM } else { Type::DGRAM };
        let socket = step(Step::Socket, || Socket::new(domain, typ, protocol))?;
        if let Some(bind) = bind {
            step(Step::Bind, || {
                socket.set_reuse_address(true)?;
                socket.bind(&bind.into())
            })?;
        }
        let datagrams = if stream { None } else { Some(step(Step::Socket, || socket.try_clone())?.into()) };
        Ok(Self { socket, datagrams, rest: Vec::new() })
    }

    /// Connects as a plain application does: one blocking call, limited by the socket's send timeout.
    pub fn connect(&mut self, to: SocketAddr, timeout: Duration) -> Result<Duration, Failure> {
        step(Step::Connect, || self.socket.set_write_timeout(Some(timeout)))?;
        let start = Instant::now();
        step(Step::Connect, || self.socket.connect(&to.into()))?;
        Ok(start.elapsed())
    }

    /// Dissolves the connection; a stream is reset.
    pub fn disconnect(&self) -> Result<(), Failure> {
        step(Step::Connect, || rustix::net::connect_unspec(&self.socket).map_err(Into::into))
    }

    /// Sends a line (TCP) or datagram.
    pub fn send(&mut self, to: Option<SocketAddr>, text: &str) -> Result<(), Failure> {
        let mut bytes = text.as_bytes().to_vec();
        if self.datagrams.is_none() {
            bytes.push(b'\n');
        }
        step(Step::Send, || match to {
            Some(to) => self.socket.send_to(&bytes, &to.into()).map(drop),
            None if self.datagrams.is_none() => (&self.socket).write_all(&bytes),
            None => self.socket.send(&bytes).map(drop),
        })
    }

    /// Receives a line (TCP) or datagram.
    pub fn receive(&mut self, timeout: Duration) -> Result<Message, Failure> {
        step(Step::Receive, || {
            self.socket.set_read_timeout(Some(timeout))?;
            match &self.datagrams {
                Some(datagrams) => receive_datagram(datagrams),
                None => self.receive_line(),
            }
        })
    }

    fn receive_line(&mut self) -> io::Result<Message> {
        let mut chunk = [0; LONGEST];
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<_> = self.rest.drain(..=end).collect();
                return Ok(Message { text: String::from_utf8_lossy(&line[..end]).into_owned(), from: None });
            }
            match (&self.socket).read(&mut chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                length => self.rest.extend_from_slice(&chunk[..length]),
            }
        }
    }

    /// The socket's two addresses.
    pub fn names(&self) -> Result<Names, Failure> {
        step(Step::Names, || {
            let local = self.socket.local_addr()?.as_socket().ok_or(io::ErrorKind::Unsupported)?;
            let peer = match self.socket.peer_addr() {
                Err(error) if error.raw_os_error() == Some(libc::ENOTCONN) => None,
                peer => peer?.as_socket(),
            };
            Ok(Names { local, peer })
        })
    }
}

fn receive_datagram(datagrams: &UdpSocket) -> io::Result<Message> {
    let mut chunk = [0; LONGEST];
    let (length, from) = datagrams.recv_from(&mut chunk)?;
    Ok(Message { text: String::from_utf8_lossy(&chunk[..length]).trim_end().to_owned(), from: Some(from) })
}
