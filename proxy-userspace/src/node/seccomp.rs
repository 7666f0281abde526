//! A seccomp filter (seccomp(2)) that denies system calls that the agent never makes, with EPERM. Why it is a list of denied
//! calls, and why each is on it, is in docs/adr/0013-a-seccomp-filter-that-denies.md.

use std::{collections::BTreeMap, env::consts::ARCH, ffi::c_long};

use libc::c_int;
use seccompiler::{
    BackendError, BpfProgram, Error as SeccompError, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
};

/// System calls for other processes: their memory, their descriptors, and control over them.
const PROCESSES: [c_long; 6] = [
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
];

/// System calls for mounts, namespaces and the root folder, and for opening files without their paths.
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

/// System calls for the machine: its kernel, clock, name, swap space and accounting.
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

/// System calls into large parts of the kernel that the agent has no use for and that exploits often use.
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

/// System calls that only this architecture has: direct access to devices and descriptor tables.
#[cfg(target_arch = "x86_64")]
const OF_ARCHITECTURE: [c_long; 3] = [libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_modify_ldt];
#[cfg(not(target_arch = "x86_64"))]
const OF_ARCHITECTURE: [c_long; 0] = [];

/// Flags of clone(2) for new namespaces, which neither the agent nor the programs that it starts need.
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
    /// No filter can be made for this architecture.
    #[error("make a seccomp filter for {ARCH}")]
    Make(#[from] BackendError),
    /// The kernel refuses the filter.
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
    // The agent enters the network namespaces of pods to destroy UDP sockets, but no other kind of namespace.
    denied.insert(libc::SYS_setns, vec![rule(1, SeccompCmpOp::Ne, libc::CLONE_NEWNET)?]);
    let made = |flag: &c_int| rule(0, SeccompCmpOp::MaskedEq(u64::from(flag.cast_unsigned())), *flag);
    denied.insert(libc::SYS_clone, NAMESPACES.iter().map(made).collect::<Result<_, _>>()?);
    let refused = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    SeccompFilter::new(denied, SeccompAction::Allow, refused, TargetArch::try_from(ARCH)?)?.try_into()
}

/// Matches a call if the comparison of its argument with `value` is true.
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

    /// Sets the filter and checks its effect. Runs in a child process of the test.
    fn inside() {
        let (ask, asked) = std::sync::mpsc::channel::<()>();
        let before = thread::spawn(move || {
            asked.recv().unwrap();
            // Without the filter, this needs no privilege.
            unshare(CloneFlags::CLONE_FILES)
        });
        deny_unused().unwrap();
        ask.send(()).unwrap();
        assert_eq!(before.join().unwrap(), Err(Errno::EPERM), "a thread from before the filter");
        let namespace = |name: &str| File::open(format!("/proc/self/ns/{name}")).unwrap();
        for (name, flag) in [("uts", CloneFlags::CLONE_NEWUTS), ("net", CloneFlags::empty())] {
            assert_eq!(setns(namespace(name), flag), Err(Errno::EPERM), "{name}");
        }
        // The filter allows this, but without CAP_SYS_ADMIN the kernel itself fails with EPERM.
        let entered = setns(namespace("net"), CloneFlags::CLONE_NEWNET);
        assert!(entered.is_ok() || fs::metadata("/proc/self").unwrap().uid() != 0, "{entered:?}");
        assert_eq!(unshare(CloneFlags::CLONE_NEWUSER), Err(Errno::EPERM));
        assert!(Command::new("true").status().unwrap().success(), "programs can be started");
    }

    /// A filter can't be removed, so it is tested in a process of its own: this test runs itself again.
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
