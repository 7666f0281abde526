//! Which programs are attached to a hook (BPF_PROG_QUERY in include/uapi/linux/bpf.h).

use std::io;

use super::bpf_with;

const BPF_PROG_QUERY: libc::c_int = 16;
/// The most programs of a hook: BPF_CGROUP_MAX_PROGS and BPF_MPROG_MAX.
const MOST: usize = 64;

/// `bpf_attr` of BPF_PROG_QUERY. The kernel writes into it, also into its last fields.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    target: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    programs: u64,
    count: u32,
    _pad: u32,
    program_attach_flags: u64,
    links: u64,
    link_attach_flags: u64,
    revision: u64,
}

/// The programs of a hook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttachedPrograms {
    /// Their ids, in the order in which they run.
    pub ids: Vec<u32>,
    /// Flags of the attachment to a cgroup. Without [`Self::MULTIPLE`], no other program can be attached.
    pub flags: u32,
}

impl AttachedPrograms {
    /// BPF_F_ALLOW_MULTI.
    pub const MULTIPLE: u32 = 1 << 1;
}

/// Returns the programs at `target`, a cgroup's descriptor or a device's index, on the hook `attach_type` (the kernel's
/// `bpf_attach_type`). Takes CAP_NET_ADMIN. The error is EINVAL if the kernel does not know the hook.
pub fn programs_at(target: u32, attach_type: u32) -> io::Result<AttachedPrograms> {
    let mut ids = vec![0_u32; MOST];
    let mut query = Attributes {
        target,
        attach_type,
        programs: ids.as_mut_ptr() as u64,
        count: u32::try_from(MOST).map_err(io::Error::other)?,
        ..Attributes::default()
    };
    bpf_with(BPF_PROG_QUERY, &mut query)?;
    ids.truncate(query.count as usize);
    Ok(AttachedPrograms { ids, flags: query.attach_flags })
}
