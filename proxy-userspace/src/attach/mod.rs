//! Attaches programs to their hooks, on the cgroup and on devices. They stay attached when the agent ends, and a later agent
//! replaces them atomically. `devices` decides which device is served, and how.

mod attached;
pub mod cgroup;
mod clsact;
pub mod device;
mod link;
mod load;
mod loaded;
mod missing;
pub mod occupants;
mod old_programs;
mod program_set;
mod programs;
mod refused;
mod renew;
mod socket_hooks;
mod stages;
mod tcx;
mod xdp;

use std::{io, path::PathBuf};

#[cfg(any(test, fuzzing))]
pub(crate) use self::clsact::read;

use aya::{
    Ebpf,
    maps::MapError,
    programs::{ProgramError, ProgramFd},
};
use proxy_common::sizes::DEVICES_MAX;

pub use self::{
    attached::{Attached, AttachedDevice, Mode},
    link::Put,
    load::Group,
    loaded::{LoadedPrograms, Statistics},
    missing::{AttachPoint, Missing, MissingHook},
    program_set::ProgramSet,
    programs::{Programs, Variant},
    renew::{pin_programs, renew},
    socket_hooks::SocketHooks,
    tcx::{has_links as tc_has_links, is_known as tc_links_are_known},
    xdp::program_on as xdp_program_on,
};

pub(crate) use self::stages::stages_of;
use crate::maps::MapsError;

/// Why a hook could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The cgroup can't be opened.
    #[error("open cgroup {path} (name a cgroup v2 folder with --cgroup)")]
    Cgroup {
        /// The folder.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// The eBPF object lacks the program, or the program is not loaded.
    #[error("find program {name} in the eBPF object")]
    Missing {
        /// The program.
        name: &'static str,
        /// The cause.
        source: ProgramError,
    },
    /// The program's descriptor can't be duplicated.
    #[error("keep program {name} open")]
    Keep {
        /// The program.
        name: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
    /// The kernel's verifier refuses the program.
    #[error("load program {name}")]
    Load {
        /// The program.
        name: String,
        /// The kernel's error, with the verifier's log.
        source: ProgramError,
    },
    /// The kernel has refused a program of this group, now or less than a minute ago.
    #[error("{0}")]
    Refused(String),
    /// A map can't be used.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// The kernel refuses to insert a stage into its program array.
    #[error("insert stage {name} into its program array")]
    Stage {
        /// The program.
        name: &'static str,
        /// The kernel's error.
        source: MapError,
    },
    /// The kernel refuses to note the device in DEVICES.
    #[error("note the device in map DEVICES")]
    Note(#[source] MapError),
    /// Other devices have all the room in DEVICES.
    #[error(
        "note the device in map DEVICES: it has room for {} (name fewer with --devices and --pod-interfaces; while there are SCTP \
         Services, each pod has one)",
        DEVICES_MAX
    )]
    NoRoom,
    /// The kernel refuses to attach the program.
    #[error("attach {name} to {target}")]
    Attach {
        /// The program.
        name: &'static str,
        /// The cgroup or device.
        target: String,
        /// The kernel's error.
        source: io::Error,
    },
    /// Another program is attached there.
    #[error("attach {name} to {target}: {found} is there; {advice}")]
    Occupied {
        /// The program.
        name: &'static str,
        /// The device.
        target: String,
        /// The program that is attached.
        found: String,
        /// How to remove it.
        advice: String,
    },
    /// The link or program can't be pinned.
    #[error("pin {}", .path.display())]
    Pin {
        /// The pin.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// A pinned link can't be inspected, or can't be given a new program.
    #[error("replace the link at {}", .path.display())]
    Replace {
        /// The pin.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// A link or filter can't be removed.
    #[error("detach {}", .path.display())]
    Detach {
        /// The pin.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// The programs on a hook can't be listed.
    #[error("list the programs on {target} (run waggle as root)")]
    Query {
        /// The cgroup or device.
        target: String,
        /// The kernel's error.
        source: io::Error,
    },
    /// The folder of links can't be listed.
    #[error("list {}", .path.display())]
    List {
        /// The folder.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
}

/// Returns the loaded program `name` of the eBPF object.
fn program<'a>(ebpf: &'a Ebpf, name: &'static str) -> Result<&'a ProgramFd, AttachError> {
    let error = |source| AttachError::Missing { name, source };
    let program = ebpf.program(name).ok_or(ProgramError::NotLoaded).map_err(error)?;
    program.fd().map_err(error)
}
