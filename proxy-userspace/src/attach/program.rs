//! A program of a cgroup's socket hooks, whichever of aya's two types it has: the same calls for both.

use std::fs::File;

use aya::programs::{
    CgroupAttachMode, CgroupSock, CgroupSockAddr, Program, ProgramError, ProgramFd,
    links::{FdLink, LinkError},
};

/// A program that sees a socket's address, or one that sees the socket.
pub enum CgroupProgram<'a> {
    Address(&'a mut CgroupSockAddr),
    Socket(&'a mut CgroupSock),
}

impl<'a> TryFrom<&'a mut Program> for CgroupProgram<'a> {
    type Error = ProgramError;

    fn try_from(program: &'a mut Program) -> Result<Self, ProgramError> {
        match program {
            Program::CgroupSockAddr(program) => Ok(Self::Address(program)),
            Program::CgroupSock(program) => Ok(Self::Socket(program)),
            _ => Err(ProgramError::UnexpectedProgramType),
        }
    }
}

impl CgroupProgram<'_> {
    /// Has the verifier check the program.
    pub fn load(&mut self) -> Result<(), ProgramError> {
        match self {
            Self::Address(program) => program.load(),
            Self::Socket(program) => program.load(),
        }
    }

    /// Its descriptor, once it is loaded.
    pub fn fd(&self) -> Result<&ProgramFd, ProgramError> {
        match self {
            Self::Address(program) => program.fd(),
            Self::Socket(program) => program.fd(),
        }
    }

    /// Attaches it to a cgroup, as long as the link lives.
    pub fn attach(&mut self, cgroup: &File) -> Result<Result<FdLink, LinkError>, ProgramError> {
        // Each link is one of several on the cgroup whatever the mode; aya takes no other.
        const MODE: CgroupAttachMode = CgroupAttachMode::Single;
        Ok(match self {
            Self::Address(program) => program.attach(cgroup, MODE).and_then(|id| program.take_link(id))?.try_into(),
            Self::Socket(program) => program.attach(cgroup, MODE).and_then(|id| program.take_link(id))?.try_into(),
        })
    }
}
