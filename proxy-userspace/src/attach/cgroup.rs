//! The socket hooks: nine programs on one cgroup, each with a pinned link. A link that an earlier agent
//! has pinned gets the new program in one step, so that no call goes untranslated.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf,
    pin::PinError,
    programs::{ProgramError, links::LinkError},
};
use tracing::{debug, info};

use super::program::CgroupProgram;
use crate::{bpf, maps::PinFolder};

/// The programs, by their names in the eBPF object, in the order in which they are attached and replaced: what removes
/// a socket's entry is there before what makes it.
pub const PROGRAMS: [&str; 9] = [
    "sock_release",
    "connect4",
    "connect6",
    "sendmsg4",
    "sendmsg6",
    "recvmsg4",
    "recvmsg6",
    "getpeername4",
    "getpeername6",
];

/// Why the hooks are not in place.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The cgroup can't be opened.
    #[error("open cgroup {path}: {source}; name a cgroup v2 folder with --cgroup")]
    Cgroup {
        /// The folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The object lacks the program.
    #[error("find program {name} in the eBPF object: {source}")]
    Missing {
        /// The program.
        name: &'static str,
        /// What is wrong.
        source: ProgramError,
    },
    /// The kernel's verifier refuses the program.
    #[error("load program {name}: {source}")]
    Load {
        /// The program.
        name: &'static str,
        /// The verifier's log.
        source: ProgramError,
    },
    /// The kernel refuses to attach the program.
    #[error("attach {name} to cgroup {path}: {source}")]
    Attach {
        /// The program.
        name: &'static str,
        /// The cgroup.
        path: PathBuf,
        /// What the kernel said.
        source: ProgramError,
    },
    /// The new link has no descriptor.
    #[error("take the link of {name}: {source}")]
    Link {
        /// The program.
        name: &'static str,
        /// What is wrong.
        source: LinkError,
    },
    /// The link can't be pinned.
    #[error("pin the link of {name}: {source}")]
    Pin {
        /// The program.
        name: &'static str,
        /// What the kernel said.
        source: PinError,
    },
    /// An outdated link can't be removed.
    #[error("replace the link at {path}: {source}")]
    Replace {
        /// The pin.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Loads every program, so that the verifier has seen them before anything is programmed.
pub fn load(ebpf: &mut Ebpf) -> Result<(), AttachError> {
    for name in PROGRAMS {
        program(ebpf, name)?.load().map_err(|source| AttachError::Load { name, source })?;
    }
    Ok(())
}

/// Puts every program on the hooks of `cgroup`; they stay there after the agent has gone.
pub fn attach(ebpf: &mut Ebpf, folder: &PinFolder, cgroup: &Path) -> Result<(), AttachError> {
    let file = File::open(cgroup).map_err(|source| AttachError::Cgroup { path: cgroup.into(), source })?;
    for name in PROGRAMS {
        let pin = folder.links().join(name);
        let mut program = program(ebpf, name)?;
        if pin.exists() && replace(&program, &pin, cgroup)? {
            debug!(name, "program replaced");
            continue;
        }
        let link = program.attach(&file);
        let link = link.map_err(|source| AttachError::Attach { name, path: cgroup.into(), source })?;
        let link = link.map_err(|source| AttachError::Link { name, source })?;
        link.pin(&pin).map_err(|source| AttachError::Pin { name, source })?;
        debug!(name, "program attached");
    }
    info!(cgroup = %cgroup.display(), "socket hooks in place");
    Ok(())
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<CgroupProgram<'a>, AttachError> {
    let program = ebpf.program_mut(name).ok_or(AttachError::Missing { name, source: ProgramError::NotLoaded })?;
    program.try_into().map_err(|source| AttachError::Missing { name, source })
}

/// Gives the pinned link the new program, if it belongs to `cgroup`; one of another (or a deleted) cgroup
/// is unpinned, which detaches it.
fn replace(program: &CgroupProgram, pin: &Path, cgroup: &Path) -> Result<bool, AttachError> {
    let error = |source| AttachError::Replace { path: pin.into(), source };
    let link = bpf::open_pin(pin).map_err(error)?;
    let wanted = fs::metadata(cgroup).map_err(error)?.ino();
    if bpf::link_cgroup(&link).map_err(error)? == wanted {
        let program = program.fd().map_err(|source| error(io::Error::other(source)))?;
        bpf::update_link(&link, program).map_err(error)?;
        return Ok(true);
    }
    fs::remove_file(pin).map_err(error)?;
    Ok(false)
}
