//! The measuring process: a pinned, single-threaded loop that reads the clock only around what it measures.

use std::{
    io::{self, BufRead as _, Read as _, Write as _},
    mem::MaybeUninit,
    net::{SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::orders::{Block, Order, TRANSFER, Work};

/// Unmeasured connects or turns at the beginning of a block: the arrival of the order has cooled the caches.
const WARM_UP: u64 = 16;

/// Unmeasured transfers at the beginning of a block: a new connection's windows are small.
const WARM_UP_TRANSFERS: u64 = 4;

/// How long to wait for an answer before the measurement is given up.
const WAIT_LIMIT: Duration = Duration::from_secs(3);

/// Pins this process, and the threads that it will start, to one CPU. On a machine with fewer CPUs it runs on any.
pub fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    // Without pinning the figures are noisier, but still useful.
    let _ = set.set(cpu).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
}

/// Carries out the orders on stdin until it is closed.
pub fn run() -> Result<()> {
    pin(0);
    let mut answers = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let order: Order = serde_json::from_str(&line?)?;
        let block = obey(&order).with_context(|| format!("measure {:?} to {}", order.work, order.to))?;
        let mut answer = serde_json::to_string(&block)?;
        answer.push('\n');
        answers.write_all(answer.as_bytes())?;
        answers.flush()?;
    }
    Ok(())
}

fn obey(order: &Order) -> io::Result<Block> {
    match order.work {
        Work::Connect => connects(order.to, order.count),
        Work::Turn => turns(&mut Tcp(stream(order.to)?), order.count),
        Work::UdpConnected => turns(&mut Connected(datagrams(Some(order.to))?), order.count),
        Work::UdpUnconnected => turns(&mut Unconnected(datagrams(None)?.into(), order.to.into()), order.count),
        Work::Throughput => bulk(order.to, order.count),
    }
}

/// Connects and resets, so that nothing stays in TIME_WAIT.
fn connects(to: SocketAddr, count: u64) -> io::Result<Block> {
    let to = SockAddr::from(to);
    measure(WARM_UP, count, || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_linger(Some(Duration::ZERO))?;
        let start = Instant::now();
        socket.connect(&to)?;
        Ok(nanoseconds(start))
    })
}

/// Warms up, then collects what `work` returns.
fn measure(warm_up: u64, count: u64, mut work: impl FnMut() -> io::Result<u64>) -> io::Result<Block> {
    for _ in 0..warm_up {
        work()?;
    }
    let start = Instant::now();
    let samples = (0..count).map(|_| work()).collect::<io::Result<_>>()?;
    Ok(Block { elapsed: nanoseconds(start), samples })
}

/// The duration of `work`.
fn timed(work: impl FnOnce() -> io::Result<()>) -> io::Result<u64> {
    let start = Instant::now();
    work()?;
    Ok(nanoseconds(start))
}

/// A socket that sends one byte and waits for one.
trait Turn {
    fn turn(&mut self) -> io::Result<()>;
}

struct Tcp(TcpStream);

impl Turn for Tcp {
    fn turn(&mut self) -> io::Result<()> {
        self.0.write_all(&[1])?;
        self.0.read_exact(&mut [0])
    }
}

struct Connected(UdpSocket);

impl Turn for Connected {
    fn turn(&mut self) -> io::Result<()> {
        self.0.send(&[1])?;
        self.0.recv(&mut [0]).map(drop)
    }
}

struct Unconnected(Socket, SockAddr);

impl Turn for Unconnected {
    fn turn(&mut self) -> io::Result<()> {
        self.0.send_to(&[1], &self.1)?;
        self.0.recv_from(&mut [MaybeUninit::uninit()]).map(drop)
    }
}

fn turns(socket: &mut impl Turn, count: u64) -> io::Result<Block> {
    measure(WARM_UP, count, || timed(|| socket.turn()))
}

/// A transfer is done when the server has confirmed its last byte.
fn bulk(to: SocketAddr, count: u64) -> io::Result<Block> {
    let mut stream = stream(to)?;
    measure(WARM_UP_TRANSFERS, count, || timed(|| transfer(&mut stream, TRANSFER)))
}

fn transfer(stream: &mut TcpStream, count: u64) -> io::Result<()> {
    static CHUNK: [u8; 128 << 10] = [0; 128 << 10];
    stream.write_all(&count.to_le_bytes())?;
    let mut left = count;
    while left > 0 {
        let length = left.min(CHUNK.len() as u64);
        stream.write_all(&CHUNK[..usize::try_from(length).expect("a chunk's length fits")])?;
        left -= length;
    }
    stream.read_exact(&mut [0])
}

fn stream(to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_linger(Some(Duration::ZERO))?;
    socket.set_tcp_nodelay(true)?;
    socket.set_read_timeout(Some(WAIT_LIMIT))?;
    socket.set_write_timeout(Some(WAIT_LIMIT))?;
    socket.connect(&to.into())?;
    Ok(socket.into())
}

fn datagrams(to: Option<SocketAddr>) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(WAIT_LIMIT))?;
    to.map_or(Ok(()), |to| socket.connect(to))?;
    Ok(socket)
}

fn nanoseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
