//! The programs of this start: those that every node needs, and the others when there is a device that needs them.

use aya::Ebpf;

use super::{AttachError, Group, Programs, load::load, stages::Stages};
use crate::maps::PinFolder;

/// The programs of this start: what is not needed yet can be loaded later.
pub struct Supply {
    ebpf: Ebpf,
    stages: Stages,
    programs: Programs,
}

impl Supply {
    /// Puts the stages of groups that are loaded in their places, which are this set's own.
    pub fn new(ebpf: Ebpf, folder: &PinFolder, loaded: &[Group]) -> Result<Self, AttachError> {
        let mut stages = Stages::open(folder)?;
        for group in loaded {
            stages.put(&ebpf, *group)?;
        }
        Ok(Self { stages, programs: Programs::loaded(&ebpf)?, ebpf })
    }

    /// The eBPF object.
    pub const fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// Loads a group, unless it is loaded.
    pub fn load(&mut self, group: Group) -> Result<(), AttachError> {
        if !self.stages.has(group) {
            load(&mut self.ebpf, &[group])?;
            self.stages.put(&self.ebpf, group)?;
            self.programs = Programs::loaded(&self.ebpf)?;
        }
        Ok(())
    }

    /// The loaded ones of hooks.
    pub(crate) const fn programs(&self) -> &Programs {
        &self.programs
    }
}
