//! Starts processes inside a namespace and a cgroup. `unsafe` is the step between fork and exec.

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

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, setns, unshare},
    sys::{prctl::set_pdeathsig, signal::Signal},
    unistd::{getpid, getppid},
};

/// What a process joins before it becomes its program.
#[derive(Clone)]
pub(super) struct Join {
    /// Network namespace.
    pub(super) netns: Arc<OwnedFd>,
    /// An open `cgroup.procs`; without it the process stays in the caller's cgroup.
    pub(super) cgroup: Option<Arc<File>>,
}

type Order = (Command, mpsc::Sender<io::Result<Child>>);

/// Starts `command`; it is killed when this process dies, however it dies.
///
/// The kernel ties that to the *thread* that forked, and tests run on short-lived threads: so one thread that stays
/// starts them all.
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
            // Nobody waiting for the answer means that the child is dropped, and killed by its cgroup's removal.
            let _ = answer.send(command.spawn());
        }
    });
    orders
}

/// Adds the joining of cgroup and namespace to `command`.
fn prepare(command: &mut Command, join: Join) {
    let parent = getpid();
    let enter = move || {
        if let Some(procs) = &join.cgroup {
            (&**procs).write_all(b"0")?;
        }
        setns(&join.netns, CloneFlags::CLONE_NEWNET)?;
        set_pdeathsig(Signal::SIGKILL)?;
        // The parent may have died before the line above took effect.
        if getppid() == parent { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ESRCH)) }
    };
    // SAFETY: the closure runs between fork and exec in a copy of a threaded process, where only async-signal-safe
    // calls are allowed: it makes plain system calls on descriptors opened before, takes no lock, allocates nothing.
    unsafe {
        command.pre_exec(enter);
    }
}

/// Gives the process a mount namespace of its own in which `/proc/sys` is read-only, as containers have it that are not
/// privileged.
pub(super) fn make_settings_read_only(command: &mut Command) {
    const SETTINGS: &CStr = c"/proc/sys";
    const NOTHING: Option<&CStr> = None;
    let bind = |flags| mount(Some(SETTINGS), SETTINGS, NOTHING, MsFlags::MS_BIND | flags, NOTHING);
    let enter = move || {
        unshare(CloneFlags::CLONE_NEWNS)?;
        // Else other namespaces would see what is mounted here.
        mount(NOTHING, c"/", NOTHING, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NOTHING)?;
        bind(MsFlags::empty())?;
        bind(MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY)?;
        Ok(())
    };
    // SAFETY: as in `prepare`: plain system calls with constant strings.
    unsafe {
        command.pre_exec(enter);
    }
}
