//! A capture: follows the programs of devices, and writes their packets, until it is to end.

use std::{
    fmt,
    io::{self, Write},
    os::fd::AsFd as _,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use aya::maps::perf::PerfEvent;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    time::{ClockId, clock_gettime},
};
use proxy_common::capture::{Captured, Settings};

use super::{
    comment::comment,
    error::CaptureError,
    file::PacketFile,
    filter::Filter,
    mac::MacAddresses,
    names::Names,
    packet::{Packet, split},
    sets::{Set, Sets},
    targets::Targets,
    tracer::{Buffer, Tracer},
    written,
};
use crate::{
    commands::{
        cli::CaptureArgs,
        get::{InspectError, snapshot::open},
        tolerance::Tolerance,
    },
    maps::PinFolder,
};

/// How often it is looked whether devices have other programs.
const PERIOD: Duration = Duration::from_secs(1);
/// How many looks in succession may fail.
const MAX_FAILURES: u32 = 10;
/// How long to wait for packets before signals are looked at again, in milliseconds.
const POLL_TIMEOUT: u16 = 200;

/// A capture.
pub(super) struct Session {
    instance: String,
    devices: Vec<String>,
    path: PathBuf,
    filter: Filter,
    /// Packets that are still to come; `None` for no limit.
    left: Option<u64>,
    tracer: Tracer,
    buffers: Vec<Buffer>,
    sets: Sets<Maps>,
    /// Whether all programs of the current set are traced, and no others.
    is_complete: bool,
    /// The time of the kernel's clock 0 since 1970.
    boot: Duration,
    summary: Summary,
    tolerance: Tolerance,
    must_end: Arc<AtomicBool>,
}

/// What names the packets of a set of programs.
struct Maps {
    names: Names,
    macs: MacAddresses,
}

/// What has been captured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    packets: u64,
    lost: u64,
    frames: u64,
    path: PathBuf,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { packets, lost, frames, path } = self;
        let packet = if *packets == 1 { "packet" } else { "packets" };
        let frame = if *frames == 1 { "frame" } else { "frames" };
        write!(f, "{packets} {packet}, {lost} lost; wrote {frames} {frame}")?;
        if path.as_os_str() == super::STANDARD_OUTPUT { Ok(()) } else { write!(f, " to {}", path.display()) }
    }
}

impl Session {
    /// Attaches the tracing programs, and says so on standard error.
    pub(super) fn begin(args: &CaptureArgs, filter: Filter, settings: Settings) -> Result<Self, CaptureError> {
        let instance = args.instance.instance.clone();
        let folder = open(&instance)?;
        let targets = Targets::look(&instance, &args.device)?;
        targets.check(&instance, &args.device)?;
        let must_end = Arc::new(AtomicBool::new(false));
        for signal in [libc::SIGINT, libc::SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&must_end)).map_err(CaptureError::Signals)?;
        }
        let (mut tracer, buffers) = Tracer::new(settings)?;
        tracer.follow(&targets, &folder)?;
        eprintln!("waggle: capturing at {}; Ctrl-C ends", targets.shown());
        let sets = Sets::new(set(targets, &folder)?);
        Ok(Self {
            instance,
            devices: args.device.clone(),
            path: args.write.clone(),
            filter,
            left: args.count,
            tracer,
            buffers,
            sets,
            is_complete: true,
            boot: boot().map_err(CaptureError::Clock)?,
            summary: Summary { path: args.write.clone(), ..Summary::default() },
            tolerance: Tolerance::new(MAX_FAILURES),
            must_end,
        })
    }

    /// Captures until the end, and finishes the file in any case.
    pub(super) fn run<W: Write>(mut self, mut file: PacketFile<W>) -> (Result<(), CaptureError>, Summary) {
        let mut result = self.follow(&mut file);
        // What has come before the end.
        if result.is_ok() {
            result = self.drain(&mut file);
        }
        let now = clock_gettime(ClockId::CLOCK_REALTIME).map_or(Duration::ZERO, Duration::from);
        match file.finish(self.summary.lost, now) {
            Ok(frames) => self.summary.frames = frames,
            Err(source) => result = result.and(Err(written(&self.path, source))),
        }
        (result, self.summary)
    }

    fn follow<W: Write>(&mut self, file: &mut PacketFile<W>) -> Result<(), CaptureError> {
        let mut looked = Instant::now();
        while !self.is_over() {
            self.wait()?;
            self.drain(file)?;
            if looked.elapsed() >= PERIOD {
                self.look()?;
                looked = Instant::now();
            }
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.left == Some(0) || self.must_end.load(Ordering::Relaxed)
    }

    /// Waits until there is a packet, or for a moment.
    fn wait(&self) -> Result<(), CaptureError> {
        let mut waiting: Vec<_> =
            self.buffers.iter().map(|buffer| PollFd::new(buffer.as_fd(), PollFlags::POLLIN)).collect();
        match poll(&mut waiting, PollTimeout::from(POLL_TIMEOUT)) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(CaptureError::Wait(error.into())),
        }
    }

    /// Writes the packets that have come, in the order of their times.
    fn drain<W: Write>(&mut self, file: &mut PacketFile<W>) -> Result<(), CaptureError> {
        let mut events = Vec::new();
        for buffer in &mut self.buffers {
            buffer.for_each(|event| match event {
                PerfEvent::Sample { head, tail } => events.push([head, tail].concat()),
                PerfEvent::Lost { count } => self.summary.lost += count,
            });
        }
        let mut packets: Vec<(Captured, &[u8])> = events.iter().filter_map(|event| split(event)).collect();
        packets.sort_by_key(|(captured, _)| captured.received_at);
        for (captured, left) in packets {
            self.take(&captured, left, file).map_err(|source| written(&self.path, source))?;
        }
        file.flush().map_err(|source| written(&self.path, source))
    }

    /// Writes a packet if it is asked for.
    fn take<W: Write>(&mut self, captured: &Captured, bytes: &[u8], file: &mut PacketFile<W>) -> io::Result<()> {
        let known = self.tracer.traced(captured.program).zip(self.sets.find(captured.program, captured.device));
        let Some(((stage, is_bare), (maps, device))) = known.filter(|_| self.left != Some(0)) else { return Ok(()) };
        let packet = Packet::new(*captured, bytes, stage, is_bare);
        let served = maps.names.of(&packet);
        if !self.filter.takes(&packet, served.as_ref()) {
            return Ok(());
        }
        let to = packet.sent.as_ref().and_then(|sent| maps.macs.device(&sent.known));
        let text = comment(&packet, served.as_ref(), device, to);
        file.write(packet, device, &text, self.boot)?;
        self.summary.packets += 1;
        self.left = self.left.map(|left| left - 1);
        Ok(())
    }

    /// Follows devices whose programs have changed, as after a restart of the agent. Only what can't be looked at may fail for a
    /// while: nothing is written here, so a file that is full ends the capture.
    fn look(&mut self) -> Result<(), CaptureError> {
        match self.renew() {
            Err(CaptureError::Removed(instance)) => Err(CaptureError::Removed(instance)),
            result => self.tolerance.take(result),
        }
    }

    fn renew(&mut self) -> Result<(), CaptureError> {
        let targets = match Targets::look(&self.instance, &self.devices) {
            Err(CaptureError::Inspect(InspectError::Missing { .. })) => {
                return Err(CaptureError::Removed(self.instance.clone()));
            }
            found => found?,
        };
        if targets == *self.sets.targets() && self.is_complete {
            // A period has passed since their links were closed, and their packets have been taken.
            self.sets.forget_former();
            self.tracer.forget_released();
            return Ok(());
        }
        let folder = PinFolder::new(&self.instance);
        // Known before its programs are traced, so that their first packets are taken.
        self.sets.replace(set(targets, &folder)?);
        self.is_complete = false;
        self.tracer.follow(self.sets.targets(), &folder)?;
        self.tracer.release_others(self.sets.targets());
        self.is_complete = true;
        Ok(())
    }
}

/// Opens what names the packets of these programs.
fn set(targets: Targets, folder: &PinFolder) -> Result<Set<Maps>, CaptureError> {
    let macs = MacAddresses::read(&targets.devices);
    Ok(Set { targets, names: Maps { names: Names::open(folder)?, macs } })
}

/// Returns the time of the kernel's clock 0 (CLOCK_MONOTONIC) since 1970.
fn boot() -> io::Result<Duration> {
    let now = |clock| clock_gettime(clock).map(Duration::from);
    Ok(now(ClockId::CLOCK_REALTIME)?.saturating_sub(now(ClockId::CLOCK_MONOTONIC)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_the_file_unless_it_is_standard_output() {
        let summary = Summary { packets: 1, lost: 0, frames: 2, path: "a.pcapng".into() };
        assert_eq!(summary.to_string(), "1 packet, 0 lost; wrote 2 frames to a.pcapng");
        let summary = Summary { packets: 120, lost: 3, frames: 215, path: "-".into() };
        assert_eq!(summary.to_string(), "120 packets, 3 lost; wrote 215 frames");
        let shown = Summary { packets: 2, lost: 0, frames: 4, path: "shop.pcapng".into() };
        let page = include_str!("../../../../docs/commands.md");
        assert!(page.lines().any(|line| line == format!("^Cwaggle: {shown}")), "docs/commands.md lacks {shown}");
    }
}
