//! System calls that aya does not offer: mapped arrays, batches of elements, plain links, tracing of programs, grace periods,
//! socket options and namespace cookies. Nearly all `unsafe` code of the agent is here; all exported functions are safe to call.

#![expect(unsafe_code, reason = "bpf(2) and mmap(2), which aya does not offer")]

mod batch;
mod element;
mod mapped_array;
mod query;
mod tracing;

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

pub use self::{
    batch::{each_entry, read_array, read_hash, read_per_cpu_array, write_hash},
    element::read_element,
    mapped_array::MappedArray,
    query::{AttachedPrograms, programs_at},
    tracing::{Moment, TracingError, TracingProgram, attach_tracing, entry_function, load_tracing},
};

const BPF_OBJ_PIN: libc::c_int = 6;
const BPF_OBJ_GET: libc::c_int = 7;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_LINK_UPDATE: libc::c_int = 29;
const BPF_LINK_DETACH: libc::c_int = 34;

/// `bpf_attr` of BPF_OBJ_PIN and BPF_OBJ_GET (include/uapi/linux/bpf.h).
#[repr(C)]
#[derive(Default)]
struct Object {
    path: u64,
    fd: u32,
    flags: u32,
}

/// `bpf_attr` of BPF_LINK_CREATE, the part that all kinds of links share (include/uapi/linux/bpf.h).
#[repr(C)]
#[derive(Default)]
struct LinkCreate {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
}

/// `bpf_attr` of BPF_LINK_UPDATE (include/uapi/linux/bpf.h).
#[repr(C)]
#[derive(Default)]
struct LinkUpdate {
    link: u32,
    program: u32,
    flags: u32,
    old_program: u32,
}

/// `bpf_attr` of BPF_OBJ_GET_INFO_BY_FD (include/uapi/linux/bpf.h).
#[repr(C)]
#[derive(Default)]
struct GetInfo {
    fd: u32,
    length: u32,
    info: u64,
}

/// The kernel's description of a link: the beginning of `bpf_link_info` (include/uapi/linux/bpf.h).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkInfo {
    kind: u32,
    /// The link's id, which stays the same when its program is replaced.
    pub id: u32,
    /// The id of the link's program.
    pub program: u32,
    _pad: u32,
    target: [u32; 2],
}

impl LinkInfo {
    /// Returns the cgroup's id (inode number) for a cgroup link; 0 if the cgroup is gone.
    pub fn cgroup(&self) -> u64 {
        bytemuck::must_cast(self.target)
    }

    /// Returns the device's index for an XDP or TCX link; 0 if the device is gone.
    pub fn device(&self) -> u32 {
        self.target[0]
    }
}

/// Returns the descriptor's number, for a kernel interface. The caller must keep the descriptor open.
pub(crate) fn raw_fd(fd: &impl AsFd) -> io::Result<u32> {
    u32::try_from(fd.as_fd().as_raw_fd()).map_err(io::Error::other)
}

fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<i32> {
    // SAFETY: the kernel reads `size_of::<T>()` bytes of `attributes`, which live until the call returns.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw const *attributes, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { i32::try_from(result).map_err(io::Error::other) }
}

/// Like [`bpf`], for commands that write into their attributes.
fn bpf_with<T>(command: libc::c_int, attributes: &mut T) -> io::Result<i32> {
    // SAFETY: the kernel reads and writes `size_of::<T>()` bytes of `attributes`, which live until the call returns.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { i32::try_from(result).map_err(io::Error::other) }
}

/// Opens the object pinned at `path`.
pub fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    get_object(path, 0)
}

/// Opens the map pinned at `path` so that the kernel refuses every write through the descriptor.
pub fn open_map_read_only(path: &Path) -> io::Result<OwnedFd> {
    const BPF_F_RDONLY: u32 = 1 << 3;
    get_object(path, BPF_F_RDONLY)
}

fn get_object(path: &Path, flags: u32) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let fd = bpf(BPF_OBJ_GET, &Object { path: path.as_ptr() as u64, flags, ..Object::default() })?;
    // SAFETY: the kernel has just created this descriptor, and no other code owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Replaces the program of an attached link atomically: every call and packet sees exactly one of the two programs.
pub fn update_link(link: impl AsFd, program: impl AsFd) -> io::Result<()> {
    let attributes = LinkUpdate { link: raw_fd(&link)?, program: raw_fd(&program)?, ..LinkUpdate::default() };
    bpf(BPF_LINK_UPDATE, &attributes).map(drop)
}

/// Attaches a program to `target`, a cgroup's descriptor or a device's index, at the hook `attach_type` (the kernel's
/// `bpf_attach_type`). The program is detached when the last descriptor and the last pin of the link are gone.
pub fn create_link(program: impl AsFd, target: u32, attach_type: u32, flags: u32) -> io::Result<OwnedFd> {
    let fd = bpf(BPF_LINK_CREATE, &LinkCreate { program: raw_fd(&program)?, target, attach_type, flags })?;
    // SAFETY: the kernel has just created this descriptor, and no other code owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Detaches a link's program at once. The kernel also detaches it when the last pin and descriptor are gone, but some
/// time later.
pub fn detach_link(link: impl AsFd) -> io::Result<()> {
    // `bpf_attr` of BPF_LINK_DETACH is the descriptor alone.
    bpf(BPF_LINK_DETACH, &raw_fd(&link)?).map(drop)
}

/// Pins a link or program at `path`, which must not exist.
pub fn pin(object: impl AsFd, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    bpf(BPF_OBJ_PIN, &Object { path: path.as_ptr() as u64, fd: raw_fd(&object)?, flags: 0 }).map(drop)
}

/// Returns what a link is attached to, and its program.
pub fn link_info(link: impl AsFd) -> io::Result<LinkInfo> {
    let mut info = LinkInfo::default();
    let length = u32::try_from(size_of::<LinkInfo>()).map_err(io::Error::other)?;
    bpf(BPF_OBJ_GET_INFO_BY_FD, &GetInfo { fd: raw_fd(&link)?, length, info: (&raw mut info) as u64 })?;
    Ok(info)
}

/// Waits for an RCU grace period: until every program that was running when the call began has ended. This membarrier
/// command is `synchronize_rcu`. Takes milliseconds, so call it off the event loop.
pub fn grace_period() -> io::Result<()> {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: takes no pointers.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Returns the cookie of the calling thread's network namespace, the value of `bpf_get_netns_cookie`.
pub fn netns_cookie() -> io::Result<u64> {
    let socket = std::net::UdpSocket::bind((std::net::Ipv4Addr::UNSPECIFIED, 0))?;
    let mut cookie = [0; size_of::<u64>()];
    socket_option(socket, libc::SOL_SOCKET, libc::SO_NETNS_COOKIE, &mut cookie)?;
    Ok(u64::from_ne_bytes(cookie))
}

/// Reads a socket option into `value`. For some options the kernel first reads the request from `value`.
pub(crate) fn socket_option(
    socket: impl AsFd,
    level: libc::c_int,
    name: libc::c_int,
    value: &mut [u8],
) -> io::Result<()> {
    let mut length = libc::socklen_t::try_from(value.len()).map_err(io::Error::other)?;
    let (value, length) = (value.as_mut_ptr().cast(), &raw mut length);
    // SAFETY: `value` is valid for reads and writes of `length` bytes, and the kernel writes no more.
    let result = unsafe { libc::getsockopt(socket.as_fd().as_raw_fd(), level, name, value, length) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
