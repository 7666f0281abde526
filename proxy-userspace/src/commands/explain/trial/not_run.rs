//! Why the programs are not run.

use aya::{maps::MapError, programs::ProgramError};

use crate::{
    commands::get::InspectError, maps::MapsError, node::capabilities::Missing, succession::private_copy::CopyError,
};

/// Why the loaded programs are not run on a synthetic packet.
#[derive(Debug, thiserror::Error)]
pub enum NotRun {
    /// The process may not load programs.
    #[error("capabilities are missing: {0}")]
    Capabilities(Missing),
    /// The client's packets come in by no device that is known.
    #[error("it is not known by which device the packets come in (--device names it)")]
    NoDevice,
    /// The packets are seen where they leave.
    #[error(
        "packets of this node's own processes are seen where they leave, and the kernel runs no program on such a packet"
    )]
    Own,
    /// The device has no Ethernet frames.
    #[error("{0} carries no Ethernet frames, and the kernel runs programs only on these")]
    Bare(String),
    /// A hook of the device has no program.
    #[error("the programs of {0} are no longer attached (`waggle get devices` shows them)")]
    Detached(String),
    /// A program has another name than those of this release.
    #[error("this waggle has no program {0:?}, which is attached: use the waggle that runs the instance")]
    Unknown(String),
    /// A program has other instructions than that of this release.
    #[error(
        "the attached program {name} is another than this waggle's (tag {attached:016x}, here {own:016x}): use the waggle that \
         runs the instance"
    )]
    Other {
        /// The program.
        name: &'static str,
        /// The tag of the attached program.
        attached: u64,
        /// The tag of the program of this release.
        own: u64,
    },
    /// The programs use maps that are not the pinned ones.
    #[error("the attached programs use other maps than those that are pinned: a restart is under way, so try again")]
    OtherMaps,
    /// The devices can't be listed.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// A pinned map can't be opened.
    #[error(transparent)]
    Maps(MapsError),
    /// A map can't be read or written.
    #[error("copy the maps of the programs")]
    Read(#[source] MapError),
    /// Programs can't be inspected.
    #[error("inspect the attached programs")]
    Programs(#[source] ProgramError),
    /// The copy can't be made.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// A program of the copy can't be loaded, or is missing in the object.
    #[error("load a copy of program {name}")]
    Load {
        /// The program.
        name: &'static str,
        /// The kernel's error.
        source: ProgramError,
    },
    /// A program of the copy can't be run.
    #[error("run a copy of program {name} (BPF_PROG_TEST_RUN)")]
    Run {
        /// The program.
        name: &'static str,
        /// The kernel's error.
        source: ProgramError,
    },
    /// The packet can't be made.
    #[error("make a packet")]
    Packet(#[from] etherparse::err::packet::BuildVecWriteError),
    /// The devices' Ethernet addresses can't be read.
    #[error("read the Ethernet address of {device}")]
    Ethernet {
        /// The device.
        device: String,
        /// The kernel's error.
        source: nix::errno::Errno,
    },
}
