//! The test's side of a client process: typed calls for the lines of [`super::protocol`].

use std::{
    collections::BTreeMap,
    fmt,
    io::{BufRead, BufReader, Write},
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    process::{ChildStdin, ChildStdout, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    error::{Error, Result, WithContext},
    host::Host,
    process::Process,
    program,
    protocol::{Dial, Failure, Kind, Message, Names, Reply, Request, Response, Step, TIMEOUT, Transport},
    wait::scaled,
};

/// How long a large transfer may make no progress.
const STALL: Duration = Duration::from_secs(5);

/// A process on a host that opens sockets on request. Calls from several threads take turns.
#[derive(Debug)]
pub struct Client {
    pipes: Mutex<Pipes>,
    pid: u32,
}

#[derive(Debug)]
struct Pipes {
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    _process: Process,
}

/// An address and port as text or value. Text that is neither is a mistake in the test, and panics.
fn address(to: impl ToSocketAddrs + fmt::Debug) -> SocketAddr {
    let parsed = to.to_socket_addrs().ok().and_then(|mut found| found.next());
    parsed.unwrap_or_else(|| panic!("{to:?} is no address and port"))
}

impl Client {
    pub(super) fn start(host: &Host) -> Result<Self> {
        let mut command = Command::new(program::find("labproc", "LABPROC_BIN")?);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = host.spawn(command)?;
        let pid = process.id();
        let missing = || Error::Timeout { what: "pipes".into(), elapsed: Duration::ZERO, context: String::new() };
        let requests = process.take_stdin().ok_or_else(missing)?;
        let answers = BufReader::new(process.take_stdout().ok_or_else(missing)?);
        Ok(Self { pipes: Mutex::new(Pipes { requests, answers, _process: process }), pid })
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.pid
    }

    /// One TCP connection, one request, one answer.
    pub fn tcp(&self, to: impl ToSocketAddrs + fmt::Debug) -> std::result::Result<Reply, Failure> {
        self.dial(&Dial::new(Transport::Tcp, address(to)))
    }

    /// One request and one answer on a connected datagram socket.
    pub fn udp(&self, to: impl ToSocketAddrs + fmt::Debug) -> std::result::Result<Reply, Failure> {
        self.dial(&Dial::new(Transport::UdpConnected, address(to)))
    }

    /// One request and one answer with `sendto()` and `recvfrom()`.
    pub fn udp_unconnected(&self, to: impl ToSocketAddrs + fmt::Debug) -> std::result::Result<Reply, Failure> {
        self.dial(&Dial::new(Transport::UdpUnconnected, address(to)))
    }

    /// How many of `count` TCP connections each backend answered; failed ones count under their errno's name.
    pub fn tally(&self, to: impl ToSocketAddrs + fmt::Debug, count: usize) -> BTreeMap<String, usize> {
        tally(&self.dial_all(&Dial::new(Transport::Tcp, address(to)).count(count)))
    }

    /// The first outcome of `dial`.
    pub fn dial(&self, dial: &Dial) -> std::result::Result<Reply, Failure> {
        self.dial_all(dial).pop().unwrap_or_else(|| Err(lost("no outcome")))
    }

    /// All outcomes of `dial`, in order.
    pub fn dial_all(&self, dial: &Dial) -> Vec<std::result::Result<Reply, Failure>> {
        match self.call(&Request::Dial(dial.clone())) {
            Ok(Response::Outcomes(outcomes)) => outcomes,
            Ok(other) => vec![Err(lost(&format!("{other:?}")))],
            Err(failure) => vec![Err(failure)],
        }
    }

    /// Sends `bytes` through one connection to a server that echoes, receives and compares them, and returns how long
    /// that took.
    pub fn bulk(&self, to: SocketAddr, bind: Option<IpAddr>, bytes: u64) -> std::result::Result<Duration, Failure> {
        let bind = bind.map(|address| SocketAddr::new(address, 0));
        match self.call(&Request::Bulk { to, bind, bytes, timeout: scaled(STALL) })? {
            Response::Connected(elapsed) => Ok(elapsed),
            other => Err(lost(&format!("{other:?}"))),
        }
    }

    /// Opens a socket that stays open until dropped, for tests that change something between two sends.
    pub fn open(&self, kind: Kind, bind: Option<SocketAddr>) -> std::result::Result<Socket<'_>, Failure> {
        match self.call(&Request::Open { kind, bind })? {
            Response::Opened(handle) => Ok(Socket { client: self, handle }),
            other => Err(lost(&format!("{other:?}"))),
        }
    }

    /// Opens a TCP connection that stays, in the family of `to`.
    pub fn connect_tcp(&self, to: impl ToSocketAddrs + fmt::Debug) -> std::result::Result<Socket<'_>, Failure> {
        let to = address(to);
        self.connected(if to.is_ipv4() { Kind::Tcp4 } else { Kind::Tcp6 }, to)
    }

    /// Connects a datagram socket that stays, in the family of `to`.
    pub fn connect_udp(&self, to: impl ToSocketAddrs + fmt::Debug) -> std::result::Result<Socket<'_>, Failure> {
        let to = address(to);
        self.connected(if to.is_ipv4() { Kind::Udp4 } else { Kind::Udp6 }, to)
    }

    fn connected(&self, kind: Kind, to: SocketAddr) -> std::result::Result<Socket<'_>, Failure> {
        let socket = self.open(kind, None)?;
        socket.connect(to)?;
        Ok(socket)
    }

    /// Sends one request and returns its answer.
    pub fn call(&self, request: &Request) -> std::result::Result<Response, Failure> {
        self.exchange(request).unwrap_or_else(|error| Err(lost(&format!("{:#}", anyhow::Error::from(error)))))
    }

    fn exchange(&self, request: &Request) -> Result<std::result::Result<Response, Failure>> {
        let mut pipes = self.lock();
        let mut line = serde_json::to_string(request).with_context(|| "write request".into())?;
        line.push('\n');
        pipes.requests.write_all(line.as_bytes()).with_context(|| "send request".into())?;
        line.clear();
        pipes.answers.read_line(&mut line).with_context(|| "read answer".into())?;
        serde_json::from_str(&line).with_context(|| format!("understand answer {line:?}"))
    }

    fn lock(&self) -> MutexGuard<'_, Pipes> {
        // If another thread has panicked between request and answer, an answer that does not fit shows that.
        self.pipes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often each backend answered; failures under their errno's name.
pub(super) fn tally(outcomes: &[std::result::Result<Reply, Failure>]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for outcome in outcomes {
        let name = match outcome {
            Ok(reply) => reply.backend(),
            Err(failure) => &failure.errno,
        };
        *counts.entry(name.to_owned()).or_default() += 1;
    }
    counts
}

/// The error for a process that has ended or gives an answer that does not fit.
fn lost(what: &str) -> Failure {
    Failure { step: Step::Labproc, errno: what.to_owned(), elapsed: Duration::ZERO }
}

/// An open socket of a [`Client`], closed when dropped.
#[derive(Debug)]
pub struct Socket<'client> {
    client: &'client Client,
    handle: u32,
}

impl Socket<'_> {
    /// Connects; returns how long that took.
    pub fn connect(&self, to: impl ToSocketAddrs + fmt::Debug) -> std::result::Result<Duration, Failure> {
        match self.call(&Request::Connect { socket: self.handle, to: address(to), timeout: TIMEOUT })? {
            Response::Connected(elapsed) => Ok(elapsed),
            other => Err(lost(&format!("{other:?}"))),
        }
    }

    /// Dissolves the connection; a stream is reset.
    pub fn disconnect(&self) -> std::result::Result<(), Failure> {
        self.call(&Request::Disconnect { socket: self.handle }).map(drop)
    }

    /// Sends on a connected socket.
    pub fn send(&self, text: &str) -> std::result::Result<(), Failure> {
        self.call(&Request::Send { socket: self.handle, to: None, text: text.to_owned() }).map(drop)
    }

    /// Sends to an address.
    pub fn send_to(&self, to: impl ToSocketAddrs + fmt::Debug, text: &str) -> std::result::Result<(), Failure> {
        self.call(&Request::Send { socket: self.handle, to: Some(address(to)), text: text.to_owned() }).map(drop)
    }

    /// Receives a line or datagram.
    pub fn receive(&self, timeout: Duration) -> std::result::Result<Message, Failure> {
        match self.call(&Request::Receive { socket: self.handle, timeout })? {
            Response::Received(message) => Ok(message),
            other => Err(lost(&format!("{other:?}"))),
        }
    }

    /// Sends on a connected socket and receives the answer.
    pub fn ask(&self, text: &str) -> std::result::Result<Message, Failure> {
        self.send(text)?;
        self.receive(TIMEOUT)
    }

    /// The socket's two addresses, by `getsockname()` and `getpeername()`.
    pub fn names(&self) -> std::result::Result<Names, Failure> {
        match self.call(&Request::Names { socket: self.handle })? {
            Response::Names(names) => Ok(names),
            other => Err(lost(&format!("{other:?}"))),
        }
    }

    fn call(&self, request: &Request) -> std::result::Result<Response, Failure> {
        self.client.call(request)
    }
}

impl Drop for Socket<'_> {
    fn drop(&mut self) {
        // A process that has ended has closed its sockets.
        let _ = self.call(&Request::Close { socket: self.handle });
    }
}
