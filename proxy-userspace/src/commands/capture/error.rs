//! Why packets can't be captured.

use std::{io, path::PathBuf};

use aya::{
    EbpfError,
    maps::{MapError, perf::PerfBufferError},
};
use aya_obj::{ParseError, relocation::EbpfRelocationError};

use crate::{
    commands::get::InspectError,
    maps::MapsError,
    node::{bpf::TracingError, btf::BtfError},
};

/// Why packets can't be captured.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Standard output is a terminal.
    #[error(
        "write packets to a terminal: they are no text; give a file, or pipe them, as in `waggle capture -w - | tshark -r -`"
    )]
    Terminal,
    /// The file can't be created.
    #[error("create {}", .path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// The file can't be written.
    #[error("write {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// No device has programs.
    #[error(
        "capture packets of instance {0:?}: no device has its programs; `waggle get devices` lists those that have"
    )]
    NoDevices(String),
    /// The device has no programs.
    #[error("capture packets of device {device:?}: it has no programs of this instance; devices with programs: {}", .devices.join(", "))]
    Device {
        /// The device that is asked for.
        device: String,
        /// The devices that have programs.
        devices: Vec<String>,
    },
    /// Nothing of the Service is in the maps.
    #[error(
        "capture packets of Service {0}: nothing of it is in the maps; `waggle get services` lists what is in force"
    )]
    Service(String),
    /// There is no such reason.
    #[error("capture packets refused for {reason:?}: there is no such reason; the reasons are {}", .reasons.join(", "))]
    Reason {
        /// What is asked for.
        reason: String,
        /// All reasons.
        reasons: Vec<&'static str>,
    },
    /// The instance was removed.
    #[error("capture packets of instance {0:?}: its programs have been removed, as `waggle cleanup` does")]
    Removed(String),
    /// The instance can't be read.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// A map of the instance can't be read.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// The kernel's types are unknown.
    #[error(transparent)]
    Types(#[from] BtfError),
    /// The tracing programs can't be read.
    #[error("parse the tracing programs")]
    Parse(#[from] ParseError),
    /// The tracing programs can't be linked with their maps.
    #[error("link the tracing programs with their maps")]
    Link(#[from] EbpfRelocationError),
    /// A part of the tracing programs is missing.
    #[error("find {0} in the tracing programs")]
    Missing(&'static str),
    /// The maps of the tracing programs can't be created.
    #[error("create the maps of the tracing programs (run waggle as root)")]
    Object(#[from] EbpfError),
    /// A map of the tracing programs can't be used.
    #[error("use a map of the tracing programs")]
    Map(#[from] MapError),
    /// A buffer can't be made.
    #[error("make a buffer for the packets of a CPU")]
    Buffer(#[from] PerfBufferError),
    /// The CPUs can't be listed.
    #[error("list the CPUs")]
    Cpus(#[source] io::Error),
    /// The kernel's clocks can't be read.
    #[error("read the kernel's clocks")]
    Clock(#[source] io::Error),
    /// The kernel does not say when packets have come.
    #[error("wait for packets")]
    Wait(#[source] io::Error),
    /// The end by a signal can't be arranged.
    #[error("wait for signals")]
    Signals(#[source] io::Error),
    /// A program can't be looked at.
    #[error("look at program {program}")]
    Look {
        /// Its id.
        program: u32,
        /// The kernel's error.
        source: io::Error,
    },
    /// A program was loaded without type information.
    #[error("trace program {0}: it was loaded without BTF; restart the agent on a kernel with CONFIG_DEBUG_INFO_BTF")]
    NoBtf(u32),
    /// A tracing program can't be loaded or attached.
    #[error("trace program {program} (this takes CAP_BPF and CAP_PERFMON, and a kernel that traces programs)")]
    Trace {
        /// The id of the traced program.
        program: u32,
        /// The cause.
        source: TracingError,
    },
}
