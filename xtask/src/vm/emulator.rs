//! The emulated machine: boots a kernel, passes the output of its tests on, and checks the kernel's log.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

use super::{kernel::Kernel, selection::Selection, transcript::Transcript};
use crate::{command, ebpf_toolchain::find_program, libtest::Tally};

/// Seconds from power-on after which a machine is assumed to hang. A quiet host needs ten minutes, a slow or busy one several
/// times as long.
const LIMIT: &str = "2700";

/// How many of the kernel's last lines are shown if something is wrong.
const TAIL: usize = 40;

/// Signs of a failure in the kernel's log.
const COMPLAINTS: [&str; 5] = ["Kernel panic", "Oops:", "kernel BUG at", "BUG: unable", "WARNING: CPU:"];

/// Boots `kernel`, waits until it powers off, and counts the results of its tests.
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

/// Returns a command for the emulator, under a time limit. One thread emulates both CPUs in turn: with a thread for each, one
/// CPU may execute kernel text that the other has just patched, and hit a breakpoint that the kernel no longer knows
/// ("Oops: int3"). Hardware acceleration is not used, since the host may itself be a virtual machine.
fn emulator(kernel: &Kernel, initramfs: &Path, console: &Path) -> Result<Command> {
    let qemu = find_program("qemu-system-x86_64").context("find qemu-system-x86_64: run `cargo xtask vm` as root")?;
    let mut command = Command::new("timeout");
    command.args(["--foreground", LIMIT]).arg(qemu);
    command.args(["-accel", "tcg,thread=single", "-cpu", "max,la57=off", "-smp", "2", "-m", "2G"]);
    command.args(["-nodefaults", "-display", "none", "-no-reboot"]);
    command.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(initramfs);
    // `panic=-1` makes a panic reboot at once, which ends the emulator (`-no-reboot`).
    command.args(["-append", "console=ttyS0 loglevel=5 panic=-1"]);
    command.arg("-serial").arg(format!("file:{}", console.display())).args(["-serial", "stdio"]);
    Ok(command)
}

fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(TAIL)..];
    last.iter().map(|line| format!("  | {}", line.trim_end())).collect::<Vec<_>>().join("\n")
}
