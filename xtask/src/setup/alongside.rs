//! Installs missing tools while cargo compiles crates that do not need them, which saves a minute or two on a fresh machine.

use std::{
    env,
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum as _;

use super::{Purpose, facts::Facts, plan::Plan};
use crate::{cargo, ebpf_toolchain::setup_lock};

/// The number of lines of the installation's output that are shown when it fails.
const SHOWN: usize = 20;

/// Runs `build`, and concurrently installs what `purposes` need. The build script of the eBPF programs waits for the
/// installation.
pub(crate) fn alongside<T>(purposes: &[Purpose], build: impl FnOnce() -> Result<T>) -> Result<T> {
    let plan = Plan::new(&Facts::gather(purposes)?);
    if plan.is_empty() {
        return build();
    }
    print!("{plan}");
    if let Some(blocked) = plan.blocked() {
        bail!("{blocked}");
    }
    let lock_path = setup_lock(cargo::root());
    let log_path = lock_path.with_extension("log");
    fs::create_dir_all(cargo::root().join("target")).context("create the folder target")?;
    let lock = File::create(&lock_path).with_context(|| format!("create {}", lock_path.display()))?;
    lock.lock().with_context(|| format!("lock {}", lock_path.display()))?;
    println!("installing this during the build; its output is in target/{}", log_name(&log_path));
    let mut child = installer(purposes, &log_path)?;
    thread::scope(|scope| {
        let installation = scope.spawn(move || {
            let status = child.wait();
            // The build script may look for the toolchain now.
            drop(lock);
            status
        });
        let outcome = build();
        let status = installation.join().expect("waiting does not panic").context("wait for the installation")?;
        if !status.success() {
            bail!("the installation failed ({status}); its last lines:\n{}", last_lines(&log_path));
        }
        outcome
    })
}

/// Starts this program again, to install what `purposes` need.
fn installer(purposes: &[Purpose], log: &Path) -> Result<Child> {
    let out = File::create(log).with_context(|| format!("create {}", log.display()))?;
    let errors = out.try_clone().context("share the installation's log")?;
    let mut command = Command::new(env::current_exe().context("find this program")?);
    command.arg("setup");
    for purpose in purposes.iter().filter_map(Purpose::to_possible_value) {
        command.args(["--for", purpose.get_name()]);
    }
    command.stdin(Stdio::null()).stdout(out).stderr(errors).spawn().context("start the installation")
}

fn log_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn last_lines(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}
