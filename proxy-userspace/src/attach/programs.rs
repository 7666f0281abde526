//! The programs that run on devices, loaded, with the stages that they hand packets over to in their places.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::Path,
};

use aya::{
    Ebpf,
    maps::{MapData, ProgramArray},
    programs::{ProgramError, ProgramInfo},
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
const STAGES: [(&str, Stage); 15] = [
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
    ("tc_ingress", Stage::Ingress),
    ("tc_egress", Stage::Egress),
];

/// For which packets a program of a TC hook is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// All, in Ethernet frames.
    Frames,
    /// All, of a device that carries no Ethernet frames.
    Bare,
    /// SCTP alone, in Ethernet frames.
    Sctp,
}

impl Variant {
    /// That of a program with this name in the object.
    pub(crate) fn named(name: &str) -> Self {
        if BARE.contains(&name) {
            Self::Bare
        } else if SCTP.contains(&name) {
            Self::Sctp
        } else {
            Self::Frames
        }
    }

    /// That of a program in the kernel, which keeps the name.
    pub(crate) fn of(program: &ProgramInfo) -> Self {
        program.name_as_str().map_or(Self::Frames, Self::named)
    }
}

/// The programs that run on devices, in the kernel.
pub struct Programs {
    xdp: OwnedFd,
    tc_ingress: OwnedFd,
    tc_egress: OwnedFd,
    /// Missing unless they have been wanted.
    bare: Option<TcPrograms>,
    /// Missing where an earlier release has left its programs.
    sctp: Option<TcPrograms>,
    /// Kept open: the kernel empties an array of programs when neither a pin nor a process holds it, and pins can be
    /// removed by anybody.
    _stages: Vec<ProgramArray<MapData>>,
}

/// The programs of both TC hooks in one variant.
struct TcPrograms {
    ingress: OwnedFd,
    egress: OwnedFd,
}

/// Their names: for devices that carry no Ethernet frames, and for SCTP alone.
const BARE: [&str; 2] = ["tc_ingress_bare", "tc_egress_bare"];
const SCTP: [&str; 2] = ["tc_sctp_in", "tc_sctp_out"];

impl TcPrograms {
    fn find<E>(
        [ingress, egress]: [&'static str; 2],
        program: impl Fn(&'static str) -> Result<OwnedFd, E>,
    ) -> Result<Self, E> {
        Ok(Self { ingress: program(ingress)?, egress: program(egress)? })
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
            bare: TcPrograms::find(BARE, |name| owned(ebpf, name)).ok(),
            sctp: Some(TcPrograms::find(SCTP, |name| owned(ebpf, name))?),
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
            bare: TcPrograms::find(BARE, program).ok(),
            sctp: TcPrograms::find(SCTP, program).ok(),
            _stages: Vec::new(),
        })
    }

    /// Loads those for devices that carry no Ethernet frames, unless they are loaded.
    pub(crate) fn load_bare(&mut self, ebpf: &mut Ebpf) -> Result<(), AttachError> {
        if self.bare.is_none() {
            load(ebpf, Wanted::Bare)?;
            self.bare = Some(TcPrograms::find(BARE, |name| owned(ebpf, name))?);
        }
        Ok(())
    }

    /// The program of a hook. Where there is none for SCTP alone, the one for all packets.
    pub(super) fn of(&self, hook: Hook, variant: Variant) -> Result<BorrowedFd<'_>, AttachError> {
        let special = match variant {
            _ if hook.is_xdp() => None,
            Variant::Frames => None,
            Variant::Bare => {
                let not_loaded = || AttachError::Missing { name: BARE[0], source: ProgramError::NotLoaded };
                Some(self.bare.as_ref().ok_or_else(not_loaded)?)
            }
            Variant::Sctp => self.sctp.as_ref(),
        };
        Ok(match (hook, special) {
            (Hook::TcxIngress | Hook::ClsactIngress, Some(programs)) => programs.ingress.as_fd(),
            (Hook::TcxEgress | Hook::ClsactEgress, Some(programs)) => programs.egress.as_fd(),
            (Hook::XdpNative | Hook::XdpGeneric, _) => self.xdp.as_fd(),
            (Hook::TcxIngress | Hook::ClsactIngress, None) => self.tc_ingress.as_fd(),
            (Hook::TcxEgress | Hook::ClsactEgress, None) => self.tc_egress.as_fd(),
        })
    }
}

fn owned(ebpf: &Ebpf, name: &'static str) -> Result<OwnedFd, AttachError> {
    let duplicate = program(ebpf, name)?.as_fd().try_clone_to_owned();
    duplicate.map_err(|source| AttachError::Missing { name, source: ProgramError::IOError(source) })
}
