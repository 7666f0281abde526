//! Tracing programs for programs: BPF_TRACE_FENTRY and BPF_TRACE_FEXIT of a loaded program, which aya attaches to functions of the
//! kernel only.

use std::{
    ffi::CStr,
    io, mem,
    os::fd::{AsFd, FromRawFd as _, OwnedFd},
};

use aya_obj::generated::{bpf_insn, bpf_prog_info};

use super::{BPF_LINK_CREATE, BPF_OBJ_GET_INFO_BY_FD, GetInfo, bpf, bpf_with, raw_fd};

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_TYPE_TRACING: u32 = 26;
const BPF_TRACE_FENTRY: u32 = 24;
const BPF_TRACE_FEXIT: u32 = 25;
/// Bytes of the verifier's log that are kept.
const LOG: usize = 1 << 16;

/// `bpf_attr` of BPF_PROG_LOAD (include/uapi/linux/bpf.h).
#[repr(C)]
#[derive(Default)]
struct ProgramLoad {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    device: u32,
    expected_attach_type: u32,
    btf: u32,
    function_info_size: u32,
    function_info: u64,
    function_info_count: u32,
    line_info_size: u32,
    line_info: u64,
    line_info_count: u32,
    attach_btf_id: u32,
    attach_program: u32,
    _pad: u32,
}

/// `bpf_attr` of BPF_LINK_CREATE for tracing programs (include/uapi/linux/bpf.h).
#[repr(C)]
#[derive(Default)]
struct TracingLink {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
    target_btf_id: u32,
    _pad: u32,
    cookie: u64,
}

/// Where a tracing program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before the traced program.
    Entry,
    /// After the traced program, tail calls included.
    Exit,
}

impl Moment {
    const fn attach_type(self) -> u32 {
        match self {
            Self::Entry => BPF_TRACE_FENTRY,
            Self::Exit => BPF_TRACE_FEXIT,
        }
    }
}

/// A program to load: its instructions, with the descriptors of its maps, its license, and its name of at most 15 bytes.
#[derive(Clone, Copy)]
pub struct TracingProgram<'a> {
    /// The instructions.
    pub instructions: &'a [bpf_insn],
    /// The license.
    pub license: &'a CStr,
    /// The name.
    pub name: &'a str,
}

/// Why a tracing program can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum TracingError {
    /// A system call fails.
    #[error(transparent)]
    Kernel(#[from] io::Error),
    /// The verifier refuses the program.
    #[error("the verifier refuses the program: {log}")]
    Refused {
        /// The last line of its log.
        log: String,
        /// The kernel's error.
        source: io::Error,
    },
}

/// Returns the id, in the program's BTF, of the function that a loaded program begins with; `None` if the program was loaded
/// without BTF. Takes CAP_BPF.
pub fn entry_function(program: impl AsFd) -> io::Result<Option<u32>> {
    // The offset of the function's first instruction, and its id.
    let mut function = [0_u32; 2];
    // SAFETY: numbers and addresses, for which zero is valid.
    let mut info: bpf_prog_info = unsafe { mem::zeroed() };
    (info.nr_func_info, info.func_info_rec_size) = (1, 8);
    info.func_info = (&raw mut function) as u64;
    let length = u32::try_from(size_of::<bpf_prog_info>()).map_err(io::Error::other)?;
    bpf(BPF_OBJ_GET_INFO_BY_FD, &GetInfo { fd: raw_fd(&program)?, length, info: (&raw mut info) as u64 })?;
    Ok((function[1] != 0).then_some(function[1]))
}

/// Loads a tracing program for `function` (see [`entry_function`]) of the program `target`.
pub fn load_tracing(
    program: TracingProgram<'_>,
    moment: Moment,
    target: impl AsFd,
    function: u32,
) -> Result<OwnedFd, TracingError> {
    let mut load = ProgramLoad {
        kind: BPF_PROG_TYPE_TRACING,
        instruction_count: u32::try_from(program.instructions.len()).map_err(io::Error::other)?,
        instructions: program.instructions.as_ptr() as u64,
        license: program.license.as_ptr() as u64,
        expected_attach_type: moment.attach_type(),
        attach_btf_id: function,
        attach_program: raw_fd(&target)?,
        ..ProgramLoad::default()
    };
    let room = load.name.len() - 1;
    load.name.iter_mut().zip(program.name.bytes().take(room)).for_each(|(place, byte)| *place = byte);
    if let Ok(fd) = bpf(BPF_PROG_LOAD, &load) {
        return Ok(owned(fd));
    }
    // Again with the log, which costs time.
    let mut log = vec![0_u8; LOG];
    (load.log_level, load.log) = (1, log.as_mut_ptr() as u64);
    load.log_size = u32::try_from(LOG).map_err(io::Error::other)?;
    match bpf_with(BPF_PROG_LOAD, &mut load) {
        Ok(fd) => Ok(owned(fd)),
        Err(source) => Err(match reason(&log) {
            Some(log) => TracingError::Refused { log, source },
            None => source.into(),
        }),
    }
}

/// Attaches a program of [`load_tracing`]. `cookie` is the value of `bpf_get_attach_cookie` there. The program is detached when
/// the descriptor is closed, also by the end of the process.
pub fn attach_tracing(program: impl AsFd, moment: Moment, cookie: u64) -> io::Result<OwnedFd> {
    let attributes =
        TracingLink { program: raw_fd(&program)?, attach_type: moment.attach_type(), cookie, ..TracingLink::default() };
    bpf(BPF_LINK_CREATE, &attributes).map(owned)
}

fn owned(fd: i32) -> OwnedFd {
    // SAFETY: the kernel has just created this descriptor, and no other code owns it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Returns the last line of a verifier's log but its statistics.
fn reason(log: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(log.split(|byte| *byte == 0).next()?).into_owned();
    let mut lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with("processed "));
    lines.next_back().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_have_the_kernels_layout() {
        assert_eq!(std::mem::offset_of!(ProgramLoad, expected_attach_type), 68);
        assert_eq!(std::mem::offset_of!(ProgramLoad, attach_program), 112);
        assert_eq!(std::mem::offset_of!(TracingLink, cookie), 24);
    }

    #[test]
    fn the_reason_is_the_last_line_that_is_no_statistics() {
        let log = b"0: R1=ctx()\nR1 invalid mem access\nprocessed 3 insns (limit 1000000)\n\0\0";
        assert_eq!(reason(log).as_deref(), Some("R1 invalid mem access"));
        assert_eq!(reason(b"\0"), None);
    }
}
