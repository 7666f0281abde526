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

use super::{AttachError, Variant, stages};

/// Programs that are needed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Of the socket hooks.
    Sockets,
    /// Of the TC hooks, with their stages: for every device.
    Tc,
    /// Of the XDP hook, with its stages: for devices that are served by XDP. A quarter of the verifier's work.
    Xdp,
    /// For devices that carry no Ethernet frames, which few nodes have. A third.
    Bare,
    /// For SCTP of the node's own processes, where there are SCTP Services.
    Own,
}

impl Group {
    /// All.
    pub const ALL: [Self; 5] = [Self::Sockets, Self::Tc, Self::Xdp, Self::Bare, Self::Own];

    /// That of a program of the object; none for a program that no hook has.
    fn of(name: &str, program: &Program) -> Option<Self> {
        Some(match program {
            Program::CgroupSock(_) | Program::CgroupSockAddr(_) => Self::Sockets,
            Program::Xdp(_) => Self::Xdp,
            Program::SchedClassifier(_) if Variant::named(name) == Variant::Bare => Self::Bare,
            Program::SchedClassifier(_) => stages::group_of(name).unwrap_or(Self::Tc),
            _ => return None,
        })
    }
}

/// Loads the programs of these groups, as many at once as there are processors: the verifier has seen them before one of
/// them is attached.
pub fn load(ebpf: &mut Ebpf, groups: &[Group]) -> Result<(), AttachError> {
    let is_wanted =
        |name: &str, program: &Program| Group::of(name, program).is_some_and(|group| groups.contains(&group));
    let mut programs: Vec<_> = ebpf.programs_mut().filter(|(name, program)| is_wanted(name, program)).collect();
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
