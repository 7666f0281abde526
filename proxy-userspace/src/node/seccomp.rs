//! A seccomp filter (seccomp(2)): the kernel refuses with EPERM what the agent never asks for. The reasons for a list of what
//! is denied, and for its entries, are in docs/adr/0013-a-seccomp-filter-that-denies.md.

use std::{collections::BTreeMap, env::consts::ARCH, ffi::c_long};

use libc::c_int;
use seccompiler::{
    BackendError, BpfProgram, Error as SeccompError, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
};

/// Other processes: their memory, their descriptors, and control over them.
const PROCESSES: [c_long; 6] = [
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
];

/// The file system as the process sees it, and files without their paths.
const MOUNTS: [c_long; 14] = [
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_unshare,
];

/// The machine: its kernel, clock, name, swap space and accounts.
const MACHINE: [c_long; 19] = [
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_syslog,
    libc::SYS_vhangup,
];

/// Large parts of the kernel that the agent has no use for, and that exploits like.
const SURFACE: [c_long; 9] = [
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_personality,
    libc::SYS_userfaultfd,
    libc::SYS_perf_event_open,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// What only this architecture has: direct access to devices and descriptor tables.
#[cfg(target_arch = "x86_64")]
const OF_ARCHITECTURE: [c_long; 3] = [libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_modify_ldt];
#[cfg(not(target_arch = "x86_64"))]
const OF_ARCHITECTURE: [c_long; 0] = [];

/// Namespaces that no process of the agent's is ever in but those that it was started in.
const NAMESPACES: [c_int; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// Why there is no filter.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// There is none for this architecture, or it is wrong.
    #[error("make a seccomp filter for {ARCH}")]
    Make(#[from] BackendError),
    /// The kernel refuses it.
    #[error("set the seccomp filter (the kernel needs CONFIG_SECCOMP_FILTER)")]
    Set(#[from] SeccompError),
}

/// Sets the filter for every thread of the process, and for the programs that it starts.
pub fn deny_unused() -> Result<(), FilterError> {
    Ok(apply_filter_all_threads(&program()?)?)
}

fn program() -> Result<BpfProgram, BackendError> {
    let lists: [&[c_long]; 5] = [&PROCESSES, &MOUNTS, &MACHINE, &SURFACE, &OF_ARCHITECTURE];
    let mut denied: BTreeMap<i64, Vec<SeccompRule>> =
        lists.concat().into_iter().map(|number| (number, Vec::new())).collect();
    // UDP sockets are ended in the network namespaces of pods; no other namespace is entered.
    denied.insert(libc::SYS_setns, vec![rule(1, SeccompCmpOp::Ne, libc::CLONE_NEWNET)?]);
    let made = |flag: &c_int| rule(0, SeccompCmpOp::MaskedEq(u64::from(flag.cast_unsigned())), *flag);
    denied.insert(libc::SYS_clone, NAMESPACES.iter().map(made).collect::<Result<_, _>>()?);
    let refused = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    SeccompFilter::new(denied, SeccompAction::Allow, refused, TargetArch::try_from(ARCH)?)?.try_into()
}

/// Matches a call whose argument compares so with `value`.
fn rule(argument: u8, operator: SeccompCmpOp, value: c_int) -> Result<SeccompRule, BackendError> {
    let value = u64::from(value.cast_unsigned());
    SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?])
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        os::unix::fs::MetadataExt as _,
        process::Command,
        thread,
    };

    use nix::{
        errno::Errno,
        sched::{CloneFlags, setns, unshare},
    };

    use super::*;

    /// What the filter does to the calling process, which ends with the test's own child.
    fn inside() {
        let (ask, asked) = std::sync::mpsc::channel::<()>();
        let before = thread::spawn(move || {
            asked.recv().unwrap();
            // Everybody may ask for this.
            unshare(CloneFlags::CLONE_FILES)
        });
        deny_unused().unwrap();
        ask.send(()).unwrap();
        assert_eq!(before.join().unwrap(), Err(Errno::EPERM), "a thread from before the filter");
        let namespace = |name: &str| File::open(format!("/proc/self/ns/{name}")).unwrap();
        for (name, flag) in [("uts", CloneFlags::CLONE_NEWUTS), ("net", CloneFlags::empty())] {
            assert_eq!(setns(namespace(name), flag), Err(Errno::EPERM), "{name}");
        }
        // What the kernel itself says: without CAP_SYS_ADMIN EPERM, too.
        let entered = setns(namespace("net"), CloneFlags::CLONE_NEWNET);
        assert!(entered.is_ok() || fs::metadata("/proc/self").unwrap().uid() != 0, "{entered:?}");
        assert_eq!(unshare(CloneFlags::CLONE_NEWUSER), Err(Errno::EPERM));
        assert!(Command::new("true").status().unwrap().success(), "programs can be started");
    }

    /// A filter can't be taken off, so it is tried in a process of its own: this test, run again.
    #[test]
    fn what_the_agent_never_asks_for_is_refused_in_every_thread() {
        const INSIDE: &str = "WAGGLE_TEST_INSIDE_FILTER";
        if std::env::var_os(INSIDE).is_some() {
            return inside();
        }
        let test = "node::seccomp::tests::what_the_agent_never_asks_for_is_refused_in_every_thread";
        let child = Command::new(std::env::current_exe().unwrap()).args(["--exact", test]).env(INSIDE, "1").output();
        let child = child.unwrap();
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
        assert!(String::from_utf8_lossy(&child.stdout).contains("1 passed"));
    }
}
