//! Hands programs to the kernel's verifier, which takes a tenth of a second and more for those of devices.

use std::{
    num::NonZero,
    sync::{Mutex, PoisonError},
    thread,
};

use aya::{
    Ebpf,
    programs::{Program, ProgramError},
};

use super::{AttachError, Variant};

/// Which programs are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All.
    All,
    /// All but those for devices that carry no Ethernet frames, which few nodes have: a third of the verifier's work.
    Framed,
    /// Those for such devices.
    Bare,
    /// Those of the socket hooks.
    Sockets,
}

impl Wanted {
    fn includes(self, name: &str, program: &Program) -> bool {
        let is_bare = Variant::named(name) == Variant::Bare;
        match self {
            Self::All => true,
            Self::Framed => !is_bare,
            Self::Bare => is_bare,
            Self::Sockets => is_of_sockets(program),
        }
    }
}

/// Loads programs, as many at once as there are processors: the verifier has seen them before one of them is attached.
pub fn load(ebpf: &mut Ebpf, wanted: Wanted) -> Result<(), AttachError> {
    let mut programs: Vec<_> = ebpf.programs_mut().filter(|(name, program)| wanted.includes(name, program)).collect();
    // The quick ones last, to fill the gaps.
    programs.sort_by_key(|(_, program)| is_of_sockets(program));
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(programs.len());
    let queue = Mutex::new(programs.into_iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let failure = Mutex::new(None);
    let work = || {
        while let Some((name, program)) = next() {
            if let Err(source) = load_one(program) {
                let error = AttachError::Load { name: name.to_owned(), source };
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
        }
    };
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

const fn is_of_sockets(program: &Program) -> bool {
    matches!(program, Program::CgroupSock(_) | Program::CgroupSockAddr(_))
}

fn load_one(program: &mut Program) -> Result<(), ProgramError> {
    match program {
        Program::CgroupSock(program) => program.load(),
        Program::CgroupSockAddr(program) => program.load(),
        Program::Xdp(program) => program.load(),
        Program::SchedClassifier(program) => program.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}
