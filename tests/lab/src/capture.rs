//! Captures packets with tcpdump, without racing it at its start or end.

use std::{
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr},
    process::{Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use nix::sys::signal::Signal;
use socket2::{Domain, Protocol, Socket, Type};

use super::{
    error::{Error, Result, WithContext},
    host::Host,
};

/// A broadcast datagram to this port marks the capture's end: tcpdump has printed all earlier packets before it.
const MARK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::BROADCAST), 47_999);

/// How long tcpdump may take to start, and to print the mark.
const WAIT_LIMIT: Duration = Duration::from_secs(5);

/// The capture of [`Host::capture`].
pub(super) fn capture<T>(
    host: &Host,
    device: &str,
    filter: &str,
    work: impl FnOnce() -> T,
) -> Result<(T, Vec<String>)> {
    let filter = format!("({filter}) or (udp and dst host {} and dst port {})", MARK.ip(), MARK.port());
    let mut command = Command::new("tcpdump");
    // tcpdump's buffer is divided by the longest packet that it may take: by default it has room for eight packets.
    let room = ["--snapshot-length", "16384", "--buffer-size", "16384"];
    command.args(["-n", "-l", "--immediate-mode", "-i", device]).args(room).arg(&filter);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut tcpdump = host.spawn(command)?;
    let remarks = lines(tcpdump.take_stderr());
    let packets = lines(tcpdump.take_stdout());
    collect_until(&remarks, "listening on", "tcpdump to begin")?;
    let value = work();
    host.netns().inside(|| send_mark(device))?.with_context(|| format!("mark the end of the capture on {device}"))?;
    let mark = format!("> {}.{}:", MARK.ip(), MARK.port());
    let captured = collect_until(&packets, &mark, "tcpdump to see all packets")?;
    tcpdump.signal(Signal::SIGTERM)?;
    Ok((value, captured))
}

/// The lines of a pipe, read by a thread that ends with the process.
fn lines(pipe: Option<impl std::io::Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    if let Some(pipe) = pipe {
        thread::spawn(move || {
            let lines = BufReader::new(pipe).lines().map_while(std::result::Result::ok);
            // The receiver is gone once the capture is over.
            lines.take_while(|line| sender.send(line.clone()).is_ok()).for_each(drop);
        });
    }
    receiver
}

/// The lines before the one that contains `mark`.
fn collect_until(lines: &Receiver<String>, mark: &str, what: &str) -> Result<Vec<String>> {
    let mut seen = Vec::new();
    loop {
        match lines.recv_timeout(WAIT_LIMIT) {
            Ok(line) if line.contains(mark) => return Ok(seen),
            Ok(line) => seen.push(line),
            Err(_) => {
                let context = format!("; lines: {seen:#?}");
                return Err(Error::Timeout { what: what.to_owned(), elapsed: WAIT_LIMIT, context });
            }
        }
    }
}

/// Sends the mark through `device`. A broadcast needs no route and no neighbour.
fn send_mark(device: &str) -> std::io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_broadcast(true)?;
    socket.bind_device(Some(device.as_bytes()))?;
    socket.send_to(b"end of capture\n", &MARK.into()).map(drop)
}
