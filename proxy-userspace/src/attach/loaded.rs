//! The programs that the agent has loaded, and the kernel's statistics about them, for metrics.

use std::{
    collections::BTreeMap,
    fs,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aya::Ebpf;

/// Descriptors of the loaded programs, by name. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct LoadedPrograms(Arc<Mutex<BTreeMap<String, OwnedFd>>>);

/// The kernel's statistics about a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// How many instructions the verifier has processed.
    pub verified: u64,
    /// How often the program has run while the kernel counted (sysctl kernel.bpf_stats_enabled).
    pub runs: u64,
    /// How long these runs took in total.
    pub took: Duration,
}

impl LoadedPrograms {
    /// Sets the programs to those that `ebpf` has loaded. Programs whose descriptor can't be duplicated are left out.
    pub(super) fn set(&self, ebpf: &Ebpf) {
        let programs = ebpf.programs().filter_map(|(name, program)| {
            let fd = program.fd().ok()?.as_fd().try_clone_to_owned().ok()?;
            Some((name.to_owned(), fd))
        });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = programs.collect();
    }

    /// Reads the statistics of each program, by its name. They are read from /proc, which takes no capability.
    pub fn statistics(&self) -> BTreeMap<String, Statistics> {
        let programs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let read = |(name, fd): (&String, &OwnedFd)| {
            let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).ok()?;
            Some((name.clone(), parse(&text)))
        };
        programs.iter().filter_map(read).collect()
    }
}

/// Parses a program's file in /proc/PID/fdinfo (bpf_prog_show_fdinfo in kernel/bpf/syscall.c). Absent fields are 0.
fn parse(text: &str) -> Statistics {
    let field = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(field, _)| *field == name).and_then(|(_, value)| value.trim().parse::<u64>().ok()).unwrap_or(0)
    };
    Statistics {
        verified: field("verified_insns"),
        runs: field("run_cnt"),
        took: Duration::from_nanos(field("run_time_ns")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_page_is_read() {
        let text =
            "pos:\t0\nprog_type:\t6\nrun_time_ns:\t1500\nrun_cnt:\t3\nrecursion_misses:\t0\nverified_insns:\t42\n";
        assert_eq!(parse(text), Statistics { verified: 42, runs: 3, took: Duration::from_nanos(1500) });
        assert_eq!(parse("pos:\t0\n"), Statistics::default());
    }
}
