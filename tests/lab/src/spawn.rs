//! Starts processes inside a namespace and a cgroup. The step between fork and exec needs `unsafe`.

#![expect(unsafe_code, reason = "code between fork and exec")]

use std::{
    ffi::CStr,
    fs::File,
    io::{self, Write},
    os::{fd::OwnedFd, unix::process::CommandExt},
    process::{Child, Command},
    sync::{Arc, Mutex, OnceLock, mpsc},
    thread,
};

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, setns, unshare},
    sys::{prctl::set_pdeathsig, signal::Signal},
    unistd::{getpid, getppid},
};

/// The namespace and cgroup that a process joins before it becomes its program.
#[derive(Clone)]
pub(super) struct Join {
    /// Network namespace.
    pub(super) netns: Arc<OwnedFd>,
    /// An open `cgroup.procs`; without it the process stays in the caller's cgroup.
    pub(super) cgroup: Option<Arc<File>>,
}

type Order = (Command, mpsc::Sender<io::Result<Child>>);

/// Starts `command`; the kernel kills it when this process dies for any reason.
///
/// The kernel ties that to the *thread* that forked, and tests run on short-lived threads. So one thread that stays
/// starts all processes.
pub(super) fn spawn(mut command: Command, join: Join) -> io::Result<Child> {
    static SPAWNER: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    prepare(&mut command, join);
    let (answer, outcome) = mpsc::channel();
    let spawner = SPAWNER.get_or_init(|| Mutex::new(start_spawner()));
    let gone = || io::Error::other("the spawning thread has ended");
    spawner.lock().map_err(|_| gone())?.send((command, answer)).map_err(|_| gone())?;
    outcome.recv().map_err(|_| gone())?
}

/// The thread that starts processes, one at a time.
fn start_spawner() -> mpsc::Sender<Order> {
    let (orders, inbox) = mpsc::channel::<Order>();
    thread::spawn(move || {
        for (mut command, answer) in inbox {
            // If the receiver is gone, the child is dropped; the removal of its cgroup kills it.
            let _ = answer.send(command.spawn());
        }
    });
    orders
}

/// Makes `command` join cgroup and namespace before it runs.
fn prepare(command: &mut Command, join: Join) {
    let parent = getpid();
    let enter = move || {
        if let Some(procs) = &join.cgroup {
            (&**procs).write_all(b"0")?;
        }
        setns(&join.netns, CloneFlags::CLONE_NEWNET)?;
        set_pdeathsig(Signal::SIGKILL)?;
        // The parent may have died before the call above, which then has no effect.
        if getppid() == parent { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ESRCH)) }
    };
    // SAFETY: the closure runs between fork and exec in a copy of a threaded process, where only async-signal-safe
    // calls are allowed. It makes plain system calls on descriptors opened before, takes no lock and allocates
    // nothing.
    unsafe {
        command.pre_exec(enter);
    }
}

/// Leaves the process no capabilities but these, whatever the caller has: exec(2) gives root those of its bounding set.
pub fn keep_capabilities(command: &mut Command, kept: &CapsHashSet) -> Result<(), CapsError> {
    let dropped: Vec<Capability> = caps::read(None, CapSet::Bounding)?.difference(kept).copied().collect();
    let enter = move || {
        let mut dropped = dropped.iter();
        dropped
            .try_for_each(|one| caps::drop(None, CapSet::Bounding, *one))
            .map_err(|_| io::ErrorKind::PermissionDenied.into())
    };
    // SAFETY: as in `prepare`: plain system calls with numbers; the crate allocates only for an error, which a process with
    // CAP_SETPCAP does not get.
    unsafe {
        command.pre_exec(enter);
    }
    Ok(())
}

/// Gives the process its own mount namespace, in which `/proc/sys` is read-only and network namespaces have no names, as in
/// unprivileged containers.
pub(super) fn contain(command: &mut Command) {
    const SETTINGS: &CStr = c"/proc/sys";
    const NAMES: &CStr = c"/run/netns";
    const NOTHING: Option<&CStr> = None;
    let bind = |flags| mount(Some(SETTINGS), SETTINGS, NOTHING, MsFlags::MS_BIND | flags, NOTHING);
    let enter = move || {
        unshare(CloneFlags::CLONE_NEWNS)?;
        // Without this, other namespaces would see what is mounted here.
        mount(NOTHING, c"/", NOTHING, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NOTHING)?;
        bind(MsFlags::empty())?;
        bind(MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY)?;
        mount(Some(c"none"), NAMES, Some(c"tmpfs"), MsFlags::empty(), NOTHING)?;
        Ok(())
    };
    // SAFETY: as in `prepare`: plain system calls with constant strings.
    unsafe {
        command.pre_exec(enter);
    }
}
