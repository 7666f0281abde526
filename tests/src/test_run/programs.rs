//! Runs the loaded programs on single packets with BPF_PROG_TEST_RUN. Nothing is sent; it returns the program's
//! verdict and the packet afterwards.

use std::error::Error;

use aya::{
    Ebpf,
    programs::{ProgramError, ProgramFd, SchedClassifier, TestRun as _, TestRunOptions, Xdp, XdpMode},
};
use proxy_common::Stage;
use proxy_userspace::{
    attach::{Group, ProgramSet},
    maps::PinFolder,
};

use super::places::Device;

/// One of the programs that see packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// `xdp`.
    Xdp,
    /// `tc_ingress`.
    TcIngress,
    /// `tc_egress`.
    TcEgress,
}

/// What happens to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It continues through the stack.
    Pass,
    /// It is dropped.
    Drop,
    /// It leaves by the device that it came from (XDP).
    Transmit,
    /// It leaves by the device that the program has named.
    Redirect,
    /// The program has failed, or has returned an unknown code.
    Fault(u32),
}

impl Hook {
    fn action(self, code: u32) -> Action {
        const TC_ACT_UNSPEC: u32 = u32::MAX;
        match (self, code) {
            (Self::Xdp, 1) | (Self::TcIngress | Self::TcEgress, 2) => Action::Drop,
            (Self::Xdp, 2) | (Self::TcIngress | Self::TcEgress, 0 | TC_ACT_UNSPEC) => Action::Pass,
            (Self::Xdp, 3) => Action::Transmit,
            (Self::Xdp, 4) | (Self::TcIngress | Self::TcEgress, 7) => Action::Redirect,
            _ => Action::Fault(code),
        }
    }
}

/// The programs. The XDP programs are attached, too, so that the devices can receive for them.
pub(super) struct Programs {
    program_set: ProgramSet,
    indexes: [u32; 4],
}

impl Programs {
    /// Loads the programs as the agent does where every device carries Ethernet frames. Call it inside the devices'
    /// namespace.
    pub(super) fn load(ebpf: Ebpf, folder: &PinFolder) -> Result<Self, Box<dyn Error>> {
        let indexes = Device::ALL.map(|device| nix::net::if_::if_nametoindex(device.name().as_str()).unwrap_or(0));
        let groups = [Group::Tc, Group::Xdp, Group::Own];
        let mut program_set = ProgramSet::new(ebpf, folder, &groups, &groups)?;
        for device in Device::OUTSIDE {
            // The kernel runs tests only for receive queues that are ready for XDP.
            xdp(program_set.ebpf())?.attach(&device.name(), XdpMode::Driver)?;
        }
        Ok(Self { program_set, indexes })
    }

    /// The interface index of a device.
    pub(super) fn index(&self, device: Device) -> u32 {
        self.indexes[device as usize]
    }

    /// The names of a stage's programs at XDP and at TC. Stages of packets that leave have none at XDP.
    pub(super) fn of_stage(&mut self, stage: Stage) -> [Option<ProgramFd>; 2] {
        let name = match stage {
            Stage::Open => "open",
            Stage::Icmp => "icmp",
            Stage::IcmpEgress => "icmp_egress",
            Stage::Reject => "reject",
            Stage::Send => "send",
            other => panic!("no test damages stage {other:?}"),
        };
        let mut program =
            |hook| self.program_set.ebpf().program(&format!("{hook}_{name}"))?.fd().ok()?.try_clone().ok();
        [program("xdp"), program("tc")]
    }

    /// Runs a program on `frame`, which has come from `device`, or on egress is sent to it. Call it inside the
    /// namespace.
    pub(super) fn run(&mut self, hook: Hook, device: Device, frame: &[u8]) -> Result<(Action, Vec<u8>), ProgramError> {
        let index = self.index(device);
        let context = match hook {
            Hook::Xdp => xdp_context(frame.len(), index),
            Hook::TcIngress | Hook::TcEgress => skb_context(index),
        };
        self.run_with(hook, &context, frame)
    }

    /// Runs the XDP program on a frame whose first piece, which programs can read, is only `first` bytes long.
    pub(super) fn run_pieces(
        &mut self,
        device: Device,
        frame: &[u8],
        first: usize,
    ) -> Result<(Action, Vec<u8>), ProgramError> {
        let context = xdp_context(first, self.index(device));
        self.run_with(Hook::Xdp, &context, frame)
    }

    fn run_with(&mut self, hook: Hook, context: &[u8], frame: &[u8]) -> Result<(Action, Vec<u8>), ProgramError> {
        let mut out = vec![0; frame.len() + 256];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ctx_in: Some(context),
            ..TestRunOptions::default()
        };
        let result = match hook {
            Hook::Xdp => xdp(self.program_set.ebpf())?.test_run(options),
            Hook::TcIngress => classifier(self.program_set.ebpf(), "tc_ingress")?.test_run(options),
            Hook::TcEgress => classifier(self.program_set.ebpf(), "tc_egress")?.test_run(options),
        }?;
        out.truncate(result.data_size_out as usize);
        Ok((hook.action(result.return_value), out))
    }
}

fn xdp(ebpf: &mut Ebpf) -> Result<&mut Xdp, ProgramError> {
    ebpf.program_mut("xdp").ok_or(ProgramError::NotLoaded)?.try_into()
}

fn classifier<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut SchedClassifier, ProgramError> {
    ebpf.program_mut(name).ok_or(ProgramError::NotLoaded)?.try_into()
}

/// `struct xdp_md`: the length of the packet's first piece, the device, and its first queue.
fn xdp_context(length: usize, index: u32) -> Vec<u8> {
    let length = u32::try_from(length).expect("a packet below 64 kB");
    words(&[0, length, 0, index, 0, 0])
}

/// The beginning of `struct __sk_buff`, up to the device.
fn skb_context(index: u32) -> Vec<u8> {
    words(&[0, 0, 0, 0, 0, 0, 0, 0, 0, index, index])
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}
