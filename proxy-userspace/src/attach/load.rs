//! Loads programs into the kernel. The verifier takes up to a tenth of a second for each program of a device hook.

use std::{
    collections::BTreeMap,
    num::NonZero,
    sync::{Mutex, MutexGuard, PoisonError},
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
    /// The programs of the socket hooks.
    Sockets,
    /// The programs of the TC hooks and their stages, which every device needs.
    Tc,
    /// The program of the XDP hook and its stages, for devices that are served by XDP: a quarter of the verifier's
    /// time.
    Xdp,
    /// The programs for L3 devices, which few nodes have: an eighth of the verifier's time.
    Bare,
    /// The stages for SCTP of the node's own processes, needed where there are SCTP Services.
    Own,
}

impl Group {
    /// All groups.
    pub const ALL: [Self; 5] = [Self::Sockets, Self::Tc, Self::Xdp, Self::Bare, Self::Own];

    /// Returns the group of a program of the eBPF object; `None` for a program of another type.
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

/// Loads the programs of these groups, as many in parallel as there are CPUs. A group with a program that the kernel refuses is not
/// loaded at all, and is returned with the reason.
pub(super) fn load(ebpf: &mut Ebpf, groups: &[Group]) -> BTreeMap<Group, AttachError> {
    let mut programs: Vec<_> = of_groups(ebpf, |group| groups.contains(&group)).collect();
    // Programs that are verified quickly come last, so that all threads end at about the same time.
    programs.sort_by_key(|(_, _, program)| is_of_sockets(program));
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(programs.len());
    let queue = Mutex::new(programs.into_iter());
    let refusals = Mutex::new(BTreeMap::new());
    let work = || {
        let next = || lock(&queue).next();
        while let Some((group, name, program)) = next() {
            // One refused program is enough: its group is unloaded below.
            if lock(&refusals).contains_key(&group) {
                continue;
            }
            if let Err(source) = load_one(program) {
                let error = AttachError::Load { name: name.to_owned(), source };
                lock(&refusals).entry(group).or_insert(error);
            }
        }
    };
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let refusals = refusals.into_inner().unwrap_or_else(PoisonError::into_inner);
    unload(ebpf, |group| refusals.contains_key(&group));
    refusals
}

/// Unloads the programs of the groups for which `is_meant` returns true: a first program without its stages would drop packets.
pub(super) fn unload(ebpf: &mut Ebpf, is_meant: impl Fn(Group) -> bool) {
    for (_, _, program) in of_groups(ebpf, is_meant) {
        // An error means that the program was not loaded.
        let _ = match program {
            Program::CgroupSock(program) => program.unload(),
            Program::CgroupSockAddr(program) => program.unload(),
            Program::Xdp(program) => program.unload(),
            Program::SchedClassifier(program) => program.unload(),
            _ => Ok(()),
        };
    }
}

fn of_groups(ebpf: &mut Ebpf, is_meant: impl Fn(Group) -> bool) -> impl Iterator<Item = (Group, &str, &mut Program)> {
    ebpf.programs_mut().filter_map(move |(name, program)| {
        let group = Group::of(name, program).filter(|group| is_meant(*group))?;
        Some((group, name, program))
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
