//! The programs that run on devices, loaded, with the stages that they hand packets over to in their places.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::Path,
};

use aya::{
    Ebpf,
    maps::{MapData, ProgramArray},
    programs::ProgramError,
};
use proxy_common::Stage;

use super::{
    AttachError,
    device::Hook,
    load::{Wanted, load},
    program,
};
use crate::{
    bpf,
    maps::{PinFolder, open},
};

/// The stages of each hook, by their names in the eBPF object.
const STAGES: [(&str, Stage); 13] = [
    ("xdp_open", Stage::Open),
    ("xdp_send", Stage::Send),
    ("xdp_touch", Stage::Touch),
    ("xdp_icmp", Stage::Icmp),
    ("xdp_answer", Stage::Answer),
    ("tc_open", Stage::Open),
    ("tc_send", Stage::Send),
    ("tc_touch", Stage::Touch),
    ("tc_touch_egress", Stage::TouchEgress),
    ("tc_uplink", Stage::Uplink),
    ("tc_icmp", Stage::Icmp),
    ("tc_icmp_egress", Stage::IcmpEgress),
    ("tc_answer", Stage::Answer),
];

/// The programs that run on devices, in the kernel.
pub struct Programs {
    xdp: OwnedFd,
    tc_ingress: OwnedFd,
    tc_egress: OwnedFd,
    bare: Option<Bare>,
    /// Kept open: the kernel empties an array of programs when neither a pin nor a process holds it, and pins can be
    /// removed by anybody.
    _stages: Vec<ProgramArray<MapData>>,
}

/// Those for devices that carry no Ethernet frames.
struct Bare {
    tc_ingress: OwnedFd,
    tc_egress: OwnedFd,
}

impl Bare {
    fn find<E>(mut program: impl FnMut(&'static str) -> Result<OwnedFd, E>) -> Result<Self, E> {
        Ok(Self { tc_ingress: program("tc_ingress_bare")?, tc_egress: program("tc_egress_bare")? })
    }
}

impl Programs {
    /// Puts the stages in their places, which are this set's own; all programs are loaded, but perhaps those for devices
    /// that carry no Ethernet frames.
    pub fn new(ebpf: &Ebpf, folder: &PinFolder) -> Result<Self, AttachError> {
        let mut xdp_stages: ProgramArray<MapData> = open(folder, "XDP_STAGES")?;
        let mut tc_stages: ProgramArray<MapData> = open(folder, "TC_STAGES")?;
        for (name, stage) in STAGES {
            let stages = if name.starts_with("xdp") { &mut xdp_stages } else { &mut tc_stages };
            stages.set(stage as u32, program(ebpf, name)?, 0).map_err(|source| AttachError::Stage { name, source })?;
        }
        Ok(Self {
            xdp: owned(ebpf, "xdp")?,
            tc_ingress: owned(ebpf, "tc_ingress")?,
            tc_egress: owned(ebpf, "tc_egress")?,
            bare: Bare::find(|name| owned(ebpf, name)).ok(),
            _stages: vec![xdp_stages, tc_stages],
        })
    }

    /// The pinned ones of an earlier start.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let program = |name| bpf::open_pin(&folder.join(name));
        Ok(Self {
            xdp: program("xdp")?,
            tc_ingress: program("tc_ingress")?,
            tc_egress: program("tc_egress")?,
            bare: Bare::find(program).ok(),
            _stages: Vec::new(),
        })
    }

    /// Loads those for devices that carry no Ethernet frames, unless they are loaded.
    pub(crate) fn load_bare(&mut self, ebpf: &mut Ebpf) -> Result<(), AttachError> {
        if self.bare.is_none() {
            load(ebpf, Wanted::Bare)?;
            self.bare = Some(Bare::find(|name| owned(ebpf, name))?);
        }
        Ok(())
    }

    /// The program of a hook; `bare`: of a device that carries no Ethernet frames.
    pub(super) fn of(&self, hook: Hook, bare: bool) -> Result<BorrowedFd<'_>, AttachError> {
        let not_loaded = || AttachError::Missing { name: "tc_ingress_bare", source: ProgramError::NotLoaded };
        let of_bare = || self.bare.as_ref().ok_or_else(not_loaded);
        Ok(match hook {
            Hook::TcxIngress | Hook::ClsactIngress if bare => of_bare()?.tc_ingress.as_fd(),
            Hook::TcxEgress | Hook::ClsactEgress if bare => of_bare()?.tc_egress.as_fd(),
            Hook::XdpNative | Hook::XdpGeneric => self.xdp.as_fd(),
            Hook::TcxIngress | Hook::ClsactIngress => self.tc_ingress.as_fd(),
            Hook::TcxEgress | Hook::ClsactEgress => self.tc_egress.as_fd(),
        })
    }
}

fn owned(ebpf: &Ebpf, name: &'static str) -> Result<OwnedFd, AttachError> {
    let duplicate = program(ebpf, name)?.as_fd().try_clone_to_owned();
    duplicate.map_err(|source| AttachError::Missing { name, source: ProgramError::IOError(source) })
}
