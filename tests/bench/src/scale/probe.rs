//! The process on the node that dials until a connection obeys the last change. The two processes have one clock.

use std::{
    env,
    io::{self, BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    process::{ChildStdin, ChildStdout, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use harness::lab::{Host, Process};
use nix::time::{ClockId, clock_gettime};
use socket2::{Domain, SockAddr, Socket, Type};

/// The pause between two tries: on a machine with few processors the agent must run, too.
const PAUSE: Duration = Duration::from_micros(20);

/// How long a change may take before the measurement is given up.
const WAIT_LIMIT: Duration = Duration::from_secs(20);

/// How a connection to the measured Service ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is accepted.
    Open,
    /// It is refused.
    Refused,
}

impl End {
    /// The other end.
    pub const fn other(self) -> Self {
        match self {
            Self::Open => Self::Refused,
            Self::Refused => Self::Open,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Refused => "refused",
        }
    }
}

/// The time since the machine's start, which all processes read alike.
pub fn now() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_MONOTONIC).context("read the clock")?.into())
}

/// Dials as each line on stdin says, and answers with the time when a connection had that end.
pub fn run(to: SocketAddr) -> Result<()> {
    // Otherwise the kernel makes every pause at least 50 µs longer.
    nix::sys::prctl::set_timerslack(1_000).context("shorten the pauses")?;
    let mut answers = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let wanted = if line?.as_str() == End::Open.word() { End::Open } else { End::Refused };
        let at = dial_until(&to.into(), wanted)?;
        writeln!(answers, "{}", at.as_nanos())?;
        answers.flush()?;
    }
    Ok(())
}

fn dial_until(to: &SockAddr, wanted: End) -> Result<Duration> {
    let deadline = now()? + WAIT_LIMIT;
    loop {
        let end = dial(to).context("dial the measured Service")?;
        let at = now()?;
        if end == wanted {
            return Ok(at);
        }
        if at > deadline {
            bail!("connections still end {} after {WAIT_LIMIT:?}", end.word());
        }
        sleep(PAUSE);
    }
}

/// Dials once, and resets the connection, so that nothing stays in TIME_WAIT.
fn dial(to: &SockAddr) -> io::Result<End> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_linger(Some(Duration::ZERO))?;
    match socket.connect(to) {
        Ok(()) => Ok(End::Open),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(End::Refused),
        Err(error) => Err(error),
    }
}

/// The running process.
pub struct Probe {
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    _process: Process,
}

impl Probe {
    /// Starts it on a host.
    pub fn start(host: &Host, to: SocketAddr) -> Result<Self> {
        let mut command = Command::new(env::current_exe().context("find this executable")?);
        command.args(["probe", &to.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = host.spawn(command)?;
        let orders = process.take_stdin().context("the probe's stdin")?;
        let answers = BufReader::new(process.take_stdout().context("the probe's stdout")?);
        Ok(Self { orders, answers, _process: process })
    }

    /// Makes it dial until connections end as `wanted`.
    pub fn begin(&mut self, wanted: End) -> Result<()> {
        writeln!(self.orders, "{}", wanted.word()).context("send an order to the probe")
    }

    /// Waits until a connection ends as the last [`Self::begin`] wants, and returns the time when the first one did.
    pub fn wait(&mut self) -> Result<Duration> {
        let mut line = String::new();
        self.answers.read_line(&mut line).context("read the probe's answer")?;
        if line.is_empty() {
            bail!("the probe has ended: see its message above");
        }
        Ok(Duration::from_nanos(line.trim().parse().context("understand the probe's answer")?))
    }
}
