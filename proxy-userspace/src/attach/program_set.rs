//! The set of programs of this start: the groups that every node needs, and others as soon as a device needs them.

use std::{collections::BTreeMap, time::Instant};

use aya::Ebpf;
use tracing::debug;

use super::{
    AttachError, Group, LoadedPrograms, Programs,
    load::{load, unload},
    refused::RefusedGroups,
    stages::Stages,
};
use crate::{logging::errors::Report, maps::PinFolder};

/// The set of programs of this start. Programs that are not needed yet can be loaded later.
pub struct ProgramSet {
    ebpf: Ebpf,
    stages: Stages,
    programs: Programs,
    refused: RefusedGroups,
    loaded: LoadedPrograms,
}

impl ProgramSet {
    /// Loads groups, and inserts their stages into this set's own program arrays. Fails if the kernel refuses a group of `needed`.
    /// A refusal of another group does not affect the rest.
    pub fn new(ebpf: Ebpf, folder: &PinFolder, groups: &[Group], needed: &[Group]) -> Result<Self, AttachError> {
        let (stages, programs, refused) = (Stages::open(folder)?, Programs::default(), RefusedGroups::default());
        let mut program_set = Self { ebpf, stages, programs, refused, loaded: LoadedPrograms::default() };
        let mut refusals = program_set.add(groups)?;
        needed.iter().find_map(|group| refusals.remove(group)).map_or(Ok(program_set), Err)
    }

    /// Keeps `loaded` up to date from now on.
    #[must_use]
    pub fn publishing_to(mut self, loaded: LoadedPrograms) -> Self {
        loaded.set(&self.ebpf);
        self.loaded = loaded;
        self
    }

    /// Returns the eBPF object.
    pub const fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// Loads a group, unless it is loaded. Fails without trying if the kernel has refused the group in the last minute.
    pub fn load(&mut self, group: Group) -> Result<(), AttachError> {
        if self.stages.has(group) {
            return Ok(());
        }
        if self.refused.of(group, Instant::now()).is_none() {
            self.add(&[group])?;
        }
        let reason = self.refused.of(group, Instant::now());
        reason.map_or(Ok(()), |reason| Err(AttachError::Refused(reason.to_owned())))
    }

    /// Loads groups. Returns the refused ones with the reasons.
    fn add(&mut self, groups: &[Group]) -> Result<BTreeMap<Group, AttachError>, AttachError> {
        let started = Instant::now();
        let mut refusals = load(&mut self.ebpf, groups);
        for &group in groups {
            if !refusals.contains_key(&group)
                && let Err(error) = self.stages.put(&self.ebpf, group)
            {
                unload(&mut self.ebpf, |loaded| loaded == group);
                refusals.insert(group, error);
            }
        }
        debug!(took = ?started.elapsed(), ?groups, "programs loaded");
        for (group, error) in &refusals {
            debug!(?group, error = %Report(error), "programs refused");
            self.refused.note(*group, error, Instant::now());
        }
        self.programs = Programs::loaded(&self.ebpf)?;
        self.loaded.set(&self.ebpf);
        Ok(refusals)
    }

    /// Returns the loaded programs of device hooks.
    pub(crate) const fn programs(&self) -> &Programs {
        &self.programs
    }
}
