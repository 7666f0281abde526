//! The loaded programs for the hooks of devices.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::Path,
};

use aya::{
    Ebpf,
    programs::{ProgramError, ProgramInfo},
};

use super::{AttachError, device::Hook, program};
use crate::node::bpf;

/// The packets that a hook's program is made for. Its number is an index into [`Hook::programs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// All packets, in Ethernet frames.
    Frames,
    /// All packets of an L3 device, which carries no Ethernet frames.
    Bare,
    /// SCTP alone, in Ethernet frames.
    Sctp,
}

impl Variant {
    const ALL: [Self; 3] = [Self::Frames, Self::Bare, Self::Sctp];

    /// Returns the variant of the program with this name in the eBPF object.
    pub(crate) fn named(name: &str) -> Self {
        let is_it = |variant: &Self| Hook::ALL.iter().any(|hook| hook.programs().get(*variant as usize) == Some(&name));
        Self::ALL.into_iter().find(is_it).unwrap_or(Self::Frames)
    }

    /// Returns the variant of a program in the kernel, by the name that the kernel keeps.
    pub(crate) fn of(program: &ProgramInfo) -> Self {
        program.name_as_str().map_or(Self::Frames, Self::named)
    }
}

/// Loaded programs for the hooks of devices, by their names in the eBPF object.
#[derive(Default)]
pub struct Programs(BTreeMap<&'static str, OwnedFd>);

impl Programs {
    /// Returns the loaded programs of `ebpf`.
    pub(super) fn loaded(ebpf: &Ebpf) -> Result<Self, AttachError> {
        let mut programs = Self::default();
        for name in Hook::ALL.into_iter().flat_map(Hook::programs) {
            if let Ok(program) = program(ebpf, name) {
                let duplicate = program.as_fd().try_clone_to_owned();
                let error = |source| AttachError::Missing { name, source: ProgramError::IOError(source) };
                programs.0.insert(name, duplicate.map_err(error)?);
            }
        }
        Ok(programs)
    }

    /// Opens the programs that an earlier start has pinned in `folder`.
    pub(super) fn open(folder: &Path) -> Self {
        let names = Hook::ALL.into_iter().flat_map(Hook::programs);
        Self(names.filter_map(|name| Some((*name, bpf::open_pin(&folder.join(name)).ok()?))).collect())
    }

    /// Returns the program of a hook. If an earlier release has pinned no program for SCTP alone, that is the program for all
    /// packets.
    pub(super) fn of(&self, hook: Hook, variant: Variant) -> Result<BorrowedFd<'_>, AttachError> {
        let name = *hook.programs().get(variant as usize).unwrap_or(&hook.program());
        let program = self.0.get(name).or_else(|| self.0.get(hook.program()).filter(|_| variant == Variant::Sctp));
        program.map(|program| program.as_fd()).ok_or(AttachError::Missing { name, source: ProgramError::NotLoaded })
    }
}
