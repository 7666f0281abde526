//! Moves the NAPI polling of a device to a kernel thread on a processor of its own. So the time that the thread runs is the
//! cost of the device's packets.

use std::{collections::BTreeSet, fs, process::Command, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use harness::lab::Netns;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

/// The thread. It ends with the device, or when the device is polled in another way.
#[derive(Debug)]
pub struct Poller {
    id: i32,
}

impl Poller {
    /// Makes a thread on `cpu` poll `device` of a namespace. Without GRO a veth polls only if it has an XDP program.
    pub fn start(netns: &Netns, device: &str, cpu: usize) -> Result<Self> {
        let gro = || Command::new("ethtool").args(["-K", device, "gro", "on"]).status();
        ensure!(netns.inside(gro)?.context("run ethtool")?.success(), "ethtool can't have {device} merge packets");
        let before = threads(device)?;
        set_threaded(netns, device, true)?;
        let Some(id) = threads(device)?.difference(&before).next().copied() else {
            bail!("{device} got no thread that polls it");
        };
        let mut cpus = CpuSet::new();
        cpus.set(cpu).and_then(|()| sched_setaffinity(Pid::from_raw(id), &cpus)).context("pin a polling thread")?;
        put_first(Pid::from_raw(id), 1)?;
        Ok(Self { id })
    }

    /// How long the thread has run so far.
    pub fn busy(&self) -> Result<Duration> {
        let path = format!("/proc/{}/schedstat", self.id);
        let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        let run =
            text.split(' ').next().and_then(|field| field.parse().ok()).with_context(|| format!("read {path}"))?;
        Ok(Duration::from_nanos(run))
    }
}

/// Gives a thread priority over all others on its processor, whatever group they are in, except those of a higher
/// `rank`.
pub fn put_first(id: Pid, rank: u8) -> Result<()> {
    let mut command = Command::new("chrt");
    let output = command.args(["--fifo", "--pid", &rank.to_string(), &id.to_string()]).output().context("run chrt")?;
    ensure!(output.status.success(), "chrt can't give a thread priority: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Turns threaded NAPI of `device` on or off. While it is off, softirqs poll the device.
pub fn set_threaded(netns: &Netns, device: &str, threaded: bool) -> Result<()> {
    let write = format!("echo {} > /sys/class/net/{device}/threaded", u8::from(threaded));
    // `ip netns exec` mounts the /sys of that namespace.
    let status = Command::new("ip").args(["netns", "exec", netns.name(), "sh", "-c", &write]).status();
    ensure!(status.context("run ip")?.success(), "set the polling of {device}");
    Ok(())
}

/// The ids of all threads that poll a device of this name, in any namespace.
fn threads(device: &str) -> Result<BTreeSet<i32>> {
    let name = format!("napi/{device}-");
    let entries = fs::read_dir("/proc").context("read /proc")?.flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let polls = |id: &i32| fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|comm| comm.starts_with(&name));
    Ok(ids.filter(polls).collect())
}
