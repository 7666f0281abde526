//! Metrics of the process, with the names that Prometheus' client libraries use.

use std::{
    fmt, fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nix::sys::{
    resource::{Resource, UsageWho, getrlimit, getrusage},
    time::{TimeVal, TimeValLike as _},
};

use super::page::{Page, whole};

/// Writes the metrics of the process. A value that can't be read is 0.
pub(super) fn write(page: &mut Page<'_>, started: SystemTime) -> fmt::Result {
    let memory = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let descriptors = fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
    page.time("process_cpu_seconds", "Seconds of CPU time that the agent has used", processor())?;
    page.gauge(
        "process_resident_memory_bytes",
        "Memory of the agent, in bytes. The maps are the kernel's and not in it, but those that the agent has mapped are, as far \
         as it uses them",
        kilobytes(&memory, "VmRSS"),
    )?;
    page.gauge("process_virtual_memory_bytes", "Address space of the agent, in bytes", kilobytes(&memory, "VmSize"))?;
    page.gauge("process_open_fds", "Open file descriptors of the agent", whole(descriptors))?;
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft);
    page.gauge("process_max_fds", "File descriptors that the agent may open", whole(limit))?;
    let started = started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    page.gauge("process_start_time_seconds", "When the agent started, in seconds since 1970", started)
}

/// Returns the CPU time of the agent in seconds, user and system.
fn processor() -> f64 {
    let seconds =
        |time: TimeVal| Duration::from_micros(u64::try_from(time.num_microseconds()).unwrap_or(0)).as_secs_f64();
    getrusage(UsageWho::RUSAGE_SELF).map_or(0.0, |usage| seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// Returns a field of `/proc/PID/status` that is in kB, in bytes.
fn kilobytes(text: &str, field: &str) -> f64 {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let value = lines.find(|(name, _)| *name == field).map(|(_, value)| value.trim().trim_end_matches(" kB"));
    whole(value.and_then(|value| value.parse::<u64>().ok()).unwrap_or(0) * 1024)
}
