//! The emulated machine: boots a kernel, passes on what its tests print, and checks what the kernel printed.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

use super::{kernel::Kernel, selection::Selection, transcript::Transcript};
use crate::{command, ebpf_toolchain::find_program, libtest::Tally};

/// Seconds from power-on after which a machine is assumed to hang. No verdict depends on it: a slow or busy host needs
/// several times the ten minutes that a quiet one takes.
const LIMIT: &str = "2700";

/// How many of the kernel's last lines are shown when something is wrong.
const TAIL: usize = 40;

/// Messages of a kernel that has failed.
const COMPLAINTS: [&str; 5] = ["Kernel panic", "Oops:", "kernel BUG at", "BUG: unable", "WARNING: CPU:"];

/// Boots `kernel` until it powers off, and counts what its tests did.
pub(super) fn run(folder: &Path, kernel: &Kernel, initramfs: &Path, selections: &[Selection]) -> Result<Tally> {
    let console = folder.join("console");
    let mut command = emulator(kernel, initramfs, &console)?;
    command::announce(&command);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("start the emulator")?;
    let stdout = child.stdout.take().expect("stdout is piped");
    let mut transcript = Transcript::default();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.context("read what the machine prints")?;
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches('\r');
        if transcript.line(line) && !line.is_empty() {
            println!("{}: {line}", kernel.release);
        }
    }
    let status = child.wait().context("wait for the emulator")?;
    let printed = fs::read(&console).with_context(|| format!("read {}", console.display()))?;
    let printed = String::from_utf8_lossy(&printed);
    let complaint = printed.lines().find(|line| COMPLAINTS.iter().any(|sign| line.contains(sign)));
    if let Some(complaint) = complaint {
        transcript.fail(complaint.trim_end());
    }
    if complaint.is_some() || !transcript.is_done() {
        println!("{}: emulator: {status} (124: stopped after {LIMIT} s); the kernel's last lines:", kernel.release);
        println!("{}", tail(&printed));
    }
    Ok(transcript.finish(selections, &kernel.release))
}

/// The emulator, under a time limit. One thread emulates both processors in turn. With a thread for each, one
/// processor may run what the other has just replaced in the kernel's text: a breakpoint that the kernel no longer
/// knows ("Oops: int3"). There is no hardware acceleration, since the host may itself be one of many virtual machines.
fn emulator(kernel: &Kernel, initramfs: &Path, console: &Path) -> Result<Command> {
    let qemu = find_program("qemu-system-x86_64").context("find qemu-system-x86_64: run `cargo xtask vm` as root")?;
    let mut command = Command::new("timeout");
    command.args(["--foreground", LIMIT]).arg(qemu);
    command.args(["-accel", "tcg,thread=single", "-cpu", "max,la57=off", "-smp", "2", "-m", "2G"]);
    command.args(["-nodefaults", "-display", "none", "-no-reboot"]);
    command.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(initramfs);
    // A panic reboots at once, which ends the emulator.
    command.args(["-append", "console=ttyS0 loglevel=5 panic=-1"]);
    command.arg("-serial").arg(format!("file:{}", console.display())).args(["-serial", "stdio"]);
    Ok(command)
}

fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(TAIL)..];
    last.iter().map(|line| format!("  | {}", line.trim_end())).collect::<Vec<_>>().join("\n")
}
