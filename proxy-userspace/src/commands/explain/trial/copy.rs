//! A private copy of the attached programs, which runs on single packets (BPF_PROG_TEST_RUN). The kernel sends nothing of what a
//! program sends in such a run.

use std::collections::BTreeMap;

use aya::{
    Ebpf,
    maps::{MapData, PerCpuArray, ProgramArray},
    programs::{Program, ProgramError, ProgramFd, ProgramInfo, TestRun as _, TestRunOptions},
};
use proxy_common::Counter;

use super::{
    attached::{AttachedLayer, AttachedPrograms, Layer, Tagged},
    not_run::NotRun,
    state::{self, Relevant, typed},
};
use crate::{maps::PinFolder, succession::private_copy};

/// Bytes that a program may add to a packet, and more.
const ROOM: usize = 256;

/// What a program did with a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// What happens to the packet.
    pub action: Action,
    /// The packet afterwards.
    pub frame: Vec<u8>,
}

/// What happens to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It goes on to the next layer or the stack.
    Pass,
    /// It is dropped.
    Drop,
    /// It leaves by a device.
    Send,
    /// A program has returned a number that it should not.
    Fault(u32),
}

impl Layer {
    /// Returns what a program's result means on this layer (`XDP_…`, `TC_ACT_…` in include/uapi/linux).
    const fn action(self, result: u32) -> Action {
        const TC_ACT_UNSPEC: u32 = u32::MAX;
        match (self, result) {
            (Self::Xdp, 1) | (Self::Tc, 2) => Action::Drop,
            (Self::Xdp, 2) | (Self::Tc, 0 | TC_ACT_UNSPEC) => Action::Pass,
            (Self::Xdp, 3 | 4) | (Self::Tc, 7) => Action::Send,
            _ => Action::Fault(result),
        }
    }

    /// Returns the context of a packet of `length` bytes that comes in by a device: `xdp_md`, or the beginning of `__sk_buff`.
    fn context(self, length: usize, device: u32) -> Vec<u8> {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let words: &[u32] = match self {
            Self::Xdp => &[0, length, 0, device, 0, 0],
            Self::Tc => &[0, 0, 0, 0, 0, 0, 0, 0, 0, device, device],
        };
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }
}

/// The copy. The kernel discards it with this value.
pub struct PrivateCopy {
    ebpf: Ebpf,
    layers: Vec<AttachedLayer>,
}

impl PrivateCopy {
    /// Creates the maps of the copy, with the state that is relevant.
    pub fn new(folder: &PinFolder, attached: AttachedPrograms, relevant: &Relevant) -> Result<Self, NotRun> {
        let mut ebpf = private_copy::load(folder, &attached.constants)?;
        state::copy(folder, &mut ebpf, relevant)?;
        Ok(Self { ebpf, layers: attached.layers })
    }

    /// The layers, in the order in which they see a packet.
    pub fn layers(&self) -> Vec<Layer> {
        self.layers.iter().map(|layer| layer.layer).collect()
    }

    /// Loads the programs of a layer. Fails if one is not equal to the attached one.
    pub fn load(&mut self, layer: Layer) -> Result<(), NotRun> {
        let Some(layer) = self.layers.iter().find(|found| found.layer == layer).cloned() else { return Ok(()) };
        self.load_equal(layer.first)?;
        for (stage, program) in layer.stages {
            let fd = self.load_equal(program)?;
            let mut array: ProgramArray<&mut MapData> = typed(&mut self.ebpf, layer.layer.stages())?;
            array.set(stage as u32, &fd, 0).map_err(NotRun::Read)?;
        }
        Ok(())
    }

    fn load_equal(&mut self, attached: Tagged) -> Result<ProgramFd, NotRun> {
        let Tagged { name, tag } = attached;
        let failed = |source| NotRun::Load { name, source };
        let (own, fd) = load(&mut self.ebpf, name).map_err(failed)?;
        if own.tag() != tag {
            return Err(NotRun::Other { name, attached: tag, own: own.tag() });
        }
        Ok(fd)
    }

    /// Runs a layer on a frame that comes in by a device. The layer must have been loaded. Call it in the device's network
    /// namespace.
    pub fn run(&mut self, layer: Layer, device: u32, frame: &[u8]) -> Result<Ran, NotRun> {
        let name = self.layers.iter().find(|found| found.layer == layer).map_or("", |found| found.first.name);
        let failed = |source| NotRun::Run { name, source };
        let mut out = vec![0; frame.len() + ROOM];
        let context = layer.context(frame.len(), device);
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ctx_in: Some(&context),
            ..TestRunOptions::default()
        };
        let result = match self.ebpf.program(name) {
            Some(Program::Xdp(program)) => program.test_run(options),
            Some(Program::SchedClassifier(program)) => program.test_run(options),
            _ => Err(ProgramError::NotLoaded),
        };
        let result = result.map_err(failed)?;
        out.truncate(result.data_size_out as usize);
        Ok(Ran { action: layer.action(result.return_value), frame: out })
    }

    /// Returns what the programs have counted.
    pub fn counted(&mut self) -> Result<BTreeMap<Counter, u64>, NotRun> {
        let counters: PerCpuArray<&mut MapData, u64> = typed(&mut self.ebpf, "COUNTERS")?;
        let read = |counter: Counter| {
            let values = counters.get(&(counter as u32), 0).map_err(NotRun::Read)?;
            Ok((counter, values.iter().sum()))
        };
        Counter::ALL.into_iter().map(read).filter(|found| !matches!(found, Ok((_, 0)))).collect()
    }
}

/// Loads a program, unless it is loaded already: the first program is also a stage of another one.
fn load(ebpf: &mut Ebpf, name: &str) -> Result<(ProgramInfo, ProgramFd), ProgramError> {
    match ebpf.program_mut(name) {
        Some(Program::Xdp(program)) => {
            if program.fd().is_err() {
                program.load()?;
            }
            Ok((program.info()?, program.fd()?.try_clone()?))
        }
        Some(Program::SchedClassifier(program)) => {
            if program.fd().is_err() {
                program.load()?;
            }
            Ok((program.info()?, program.fd()?.try_clone()?))
        }
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_the_kernels() {
        for (layer, result, action) in [
            (Layer::Xdp, 0, Action::Fault(0)),
            (Layer::Xdp, 1, Action::Drop),
            (Layer::Xdp, 2, Action::Pass),
            (Layer::Xdp, 3, Action::Send),
            (Layer::Xdp, 4, Action::Send),
            (Layer::Tc, 2, Action::Drop),
            (Layer::Tc, u32::MAX, Action::Pass),
            (Layer::Tc, 7, Action::Send),
            (Layer::Tc, 8, Action::Fault(8)),
        ] {
            assert_eq!(layer.action(result), action, "{layer:?} {result}");
        }
    }
}
