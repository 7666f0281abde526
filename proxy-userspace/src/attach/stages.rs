//! The stages: programs that other programs tail-call, in their program arrays.

use std::collections::BTreeSet;

use aya::{
    Ebpf,
    maps::{MapData, ProgramArray},
};
use proxy_common::Stage;

use super::{AttachError, Group, program};
use crate::maps::{PinFolder, open};

/// The stages of each group of programs, by their names in the eBPF object.
const STAGES: [(Group, &[(&str, Stage)]); 3] = [
    (
        Group::Xdp,
        &[
            ("xdp_open", Stage::Open),
            ("xdp_send", Stage::Send),
            ("xdp_refresh", Stage::Refresh),
            ("xdp_icmp", Stage::Icmp),
            ("xdp_reject", Stage::Reject),
        ],
    ),
    (
        Group::Tc,
        &[
            ("tc_open", Stage::Open),
            ("tc_send", Stage::Send),
            ("tc_refresh", Stage::Refresh),
            ("tc_refresh_egress", Stage::RefreshEgress),
            ("tc_uplink", Stage::Uplink),
            ("tc_icmp", Stage::Icmp),
            ("tc_icmp_egress", Stage::IcmpEgress),
            ("tc_reject", Stage::Reject),
            ("tc_ingress", Stage::Ingress),
            ("tc_egress", Stage::Egress),
        ],
    ),
    (Group::Own, &[("tc_own", Stage::Own), ("tc_own_reply", Stage::OwnReply)]),
];

/// Returns the group of a stage; `None` for a program that is not a stage.
pub(super) fn group_of(name: &str) -> Option<Group> {
    let has_it = |(_, stages): &&(Group, &[(&str, Stage)])| stages.iter().any(|(stage, _)| *stage == name);
    STAGES.iter().find(has_it).map(|(group, _)| *group)
}

/// Returns the stages of a group: their programs' names in the eBPF object, and their places in the program array.
pub(crate) fn stages_of(group: Group) -> impl Iterator<Item = (&'static str, Stage)> {
    STAGES.iter().filter(move |(owner, _)| *owner == group).flat_map(|(_, stages)| *stages).copied()
}

/// The program arrays of the stages. They are kept open: the kernel empties a program array when no pin and no process
/// holds it, and any root process can remove pins.
pub(super) struct Stages {
    xdp: ProgramArray<MapData>,
    tc: ProgramArray<MapData>,
    /// The groups whose stages are in the arrays.
    groups: BTreeSet<Group>,
}

impl Stages {
    /// Opens the arrays of a new set of maps. They must still be empty.
    pub(super) fn open(folder: &PinFolder) -> Result<Self, AttachError> {
        Ok(Self { xdp: open(folder, "XDP_STAGES")?, tc: open(folder, "TC_STAGES")?, groups: BTreeSet::new() })
    }

    /// Whether a group's stages are in the arrays.
    pub(super) fn has(&self, group: Group) -> bool {
        self.groups.contains(&group)
    }

    /// Inserts the stages of a loaded group into the arrays: all or none.
    pub(super) fn put(&mut self, ebpf: &Ebpf, group: Group) -> Result<(), AttachError> {
        let array = if group == Group::Xdp { &mut self.xdp } else { &mut self.tc };
        let put = stages_of(group).try_for_each(|(name, stage)| {
            array.set(stage as u32, program(ebpf, name)?, 0).map_err(|source| AttachError::Stage { name, source })
        });
        if put.is_ok() {
            self.groups.insert(group);
        } else {
            // Errors are of stages that were not inserted.
            stages_of(group).for_each(|(_, stage)| drop(array.clear_index(&(stage as u32))));
        }
        put
    }
}
