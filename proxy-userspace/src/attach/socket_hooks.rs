//! Checks the socket hooks while the agent runs: the kernel does not report that a link was detached or its pin removed. A
//! succession attaches the hooks itself (see [`attach`](super::cgroup::attach)); they are not checked during that time.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
    time::Instant,
};

use aya::Ebpf;
use tracing::{error, warn};

use super::{
    AttachError, AttachPoint, Missing,
    cgroup::{Cgroup, PROGRAMS},
    link::{Attachment, Put},
    program,
};
use crate::{logging::errors::Report, maps::PinFolder, node::bpf};

/// A hook and the program that should be there.
struct SocketHook {
    name: &'static str,
    attach_type: u32,
    program: OwnedFd,
    pin: PathBuf,
}

/// The socket hooks of a set of programs that serves.
pub struct SocketHooks {
    hooks: Vec<SocketHook>,
    cgroup: PathBuf,
    missing: Missing,
}

impl SocketHooks {
    /// Returns the hooks for the loaded programs of `ebpf` on the cgroup at which [`attach`](super::cgroup::attach) has attached
    /// them. Hooks whose programs can't be attached again are noted in `missing`.
    pub fn new(ebpf: &Ebpf, folder: &PinFolder, cgroup: &Path, missing: Missing) -> Result<Self, AttachError> {
        let hook = |(name, attach_type)| {
            let loaded = program(ebpf, name)?.as_fd().try_clone_to_owned();
            let program = loaded.map_err(|source| AttachError::Keep { name, source })?;
            Ok(SocketHook { name, attach_type, program, pin: folder.links().join(name) })
        };
        let hooks = PROGRAMS.into_iter().map(hook).collect::<Result<_, AttachError>>()?;
        Ok(Self { hooks, cgroup: cgroup.to_owned(), missing })
    }

    /// Attaches the programs that are not attached. If none is missing, this takes three system calls for each.
    pub fn check_all(&self) {
        let cgroup = Cgroup::open(&self.cgroup);
        let reason = |hook: &SocketHook| match &cgroup {
            Ok(cgroup) => self.check(hook, cgroup).err().map(|error| Report(&error).to_string()),
            Err(error) => Some(Report(error).to_string()),
        };
        let lacking = self.hooks.iter().filter_map(|hook| Some((hook.name.to_owned(), reason(hook)?)));
        let lacking: BTreeMap<String, String> = lacking.collect();
        for hook in self.missing.replace(AttachPoint::Cgroup, lacking.clone(), Instant::now()) {
            let reason = lacking.get(&hook);
            error!(
                hook,
                reason, "socket hook has lost its program: trying again; until then processes may not reach Services"
            );
        }
    }

    fn check(&self, hook: &SocketHook, cgroup: &Cgroup) -> Result<(), AttachError> {
        if bpf::open_pin(&hook.pin).and_then(bpf::link_info).is_ok_and(|link| cgroup.has(&link)) {
            return Ok(());
        }
        let SocketHook { name, attach_type, program, pin } = hook;
        let shown = format!("cgroup {}", self.cgroup.display());
        let (attach_type, target, flags, program) = (*attach_type, cgroup.target(), 0, program.as_fd());
        let put = Attachment { name, program, target, shown: &shown, attach_type, flags, pin };
        if put.put(|link| cgroup.has(link))? == Put::Attached {
            warn!(
                hook = name,
                "socket hook has lost its program: attached again; calls that were made in between may have reached no Service"
            );
        }
        Ok(())
    }
}
