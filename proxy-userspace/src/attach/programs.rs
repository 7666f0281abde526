//! The programs that run on devices, loaded, with the stages that they hand packets over to in their places.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use aya::{
    Ebpf,
    maps::{MapData, ProgramArray},
    programs::{ProgramError, ProgramFd, SchedClassifier, Xdp},
};
use proxy_common::Stage;

use super::{AttachError, device::Hook, program};
use crate::maps::{PinFolder, open};

/// The stages of each hook, by their names in the eBPF object.
const STAGES: [(&str, Stage); 9] = [
    ("xdp_open", Stage::Open),
    ("xdp_send", Stage::Send),
    ("xdp_icmp", Stage::Icmp),
    ("xdp_answer", Stage::Answer),
    ("tc_open", Stage::Open),
    ("tc_send", Stage::Send),
    ("tc_icmp", Stage::Icmp),
    ("tc_icmp_egress", Stage::IcmpEgress),
    ("tc_answer", Stage::Answer),
];

/// The programs that run on devices, in the kernel.
pub struct Programs {
    xdp: OwnedFd,
    tc_ingress: OwnedFd,
    tc_egress: OwnedFd,
}

impl Programs {
    /// Loads them, so that the verifier has seen them before anything is programmed. The stages of an instance that
    /// runs already are replaced one by one: old and new ones of one layout understand each other.
    pub fn load(ebpf: &mut Ebpf, folder: &PinFolder) -> Result<Self, AttachError> {
        let mut xdp_stages: ProgramArray<MapData> = open(folder, "XDP_STAGES")?;
        let mut tc_stages: ProgramArray<MapData> = open(folder, "TC_STAGES")?;
        for (name, stage) in STAGES {
            let is_xdp = name.starts_with("xdp");
            let stages = if is_xdp { &mut xdp_stages } else { &mut tc_stages };
            let loaded = if is_xdp { load_xdp(ebpf, name)? } else { load_classifier(ebpf, name)? };
            stages.set(stage as u32, loaded, 0).map_err(|source| AttachError::Stage { name, source })?;
        }
        Ok(Self {
            xdp: owned("xdp", load_xdp(ebpf, "xdp")?)?,
            tc_ingress: owned("tc_ingress", load_classifier(ebpf, "tc_ingress")?)?,
            tc_egress: owned("tc_egress", load_classifier(ebpf, "tc_egress")?)?,
        })
    }

    pub(super) fn of(&self, hook: Hook) -> BorrowedFd<'_> {
        match hook {
            Hook::XdpNative | Hook::XdpGeneric => self.xdp.as_fd(),
            Hook::TcxIngress | Hook::ClsactIngress => self.tc_ingress.as_fd(),
            Hook::TcxEgress | Hook::ClsactEgress => self.tc_egress.as_fd(),
        }
    }
}

fn load_xdp<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a ProgramFd, AttachError> {
    let program: &mut Xdp = program(ebpf, name)?;
    program.load().and_then(|()| program.fd()).map_err(|source| AttachError::Load { name, source })
}

fn load_classifier<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a ProgramFd, AttachError> {
    let program: &mut SchedClassifier = program(ebpf, name)?;
    program.load().and_then(|()| program.fd()).map_err(|source| AttachError::Load { name, source })
}

fn owned(name: &'static str, fd: &ProgramFd) -> Result<OwnedFd, AttachError> {
    fd.as_fd().try_clone_to_owned().map_err(|source| AttachError::Load { name, source: ProgramError::IOError(source) })
}
