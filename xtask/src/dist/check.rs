//! Installs the Debian package in a clean Debian, boots that in namespaces of this machine, and starts the agent there by its unit.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::{Release, build};
use crate::{cargo, command, machine};

/// The release of Debian.
const SUITE: &str = "bookworm";

/// Boots the clean Debian.
const BOOT: &str = include_str!("boot.sh");

/// Files of the clean Debian: what is done once it has booted.
const FILES: [(&str, &str); 2] = [
    ("etc/systemd/system/dist-check.service", include_str!("dist-check.service")),
    ("dist-check.sh", include_str!("dist-check.sh")),
];

/// Files of the repository that the pages' commands copy. They are in the folder `source` of the clean Debian.
const SOURCE: [&str; 2] = ["deploy/systemd/waggle.service", "deploy/standalone/two-web-servers/web.yaml"];

/// The program there, where `cargo build --release` puts it.
const PROGRAM: &str = "target/release/waggle";

/// The clean Debian's file with what the booted system has printed.
const LOG: &str = "dist-check.log";

/// Runs the check. Needs root.
pub(super) fn run(release: &Release) -> Result<()> {
    if !machine::is_root()? {
        bail!("install the package in a clean Debian: run this as root");
    }
    let root = cargo::root().join("target/dist-root");
    // A folder that is not complete is no clean Debian.
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("remove {}", root.display()))?;
    }
    let mut debian = Command::new("debootstrap");
    command::run(debian.args(["--variant=minbase", "--include=systemd", SUITE]).arg(&root))?;
    let name = format!("waggle_{}_amd64.deb", release.version);
    fs::copy(release.file(&name), root.join(&name)).with_context(|| format!("copy {name}"))?;
    for (file, content) in FILES {
        fs::write(root.join(file), content).with_context(|| format!("write {file} in {}", root.display()))?;
    }
    let program = release.file(&format!("waggle-{}-{}", release.version, build::TARGET));
    let files = SOURCE.map(|file| (cargo::root().join(file), file));
    files
        .into_iter()
        .chain([(program, PROGRAM)])
        .try_for_each(|(from, file)| copy(&from, &root.join("source").join(file)))?;
    let chroot = |words: &[&str]| command::run(Command::new("chroot").arg(&root).args(words));
    chroot(&["dpkg", "--install", &format!("/{name}")])?;
    chroot(&["waggle", "--version"])?;
    chroot(&["waggle", "validate", "/usr/share/doc/waggle/examples"])?;
    boot(&root)?;
    println!("the package installs, serves and goes again in a clean Debian ({SUITE})");
    Ok(())
}

/// Copies a file into a folder that need not be there yet.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().context("a file is in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    fs::copy(from, to).with_context(|| format!("copy {}", from.display())).map(drop)
}

/// Boots the clean Debian, and waits until its unit has ended.
fn boot(root: &Path) -> Result<()> {
    let cgroup = Cgroup::new()?;
    let namespaces = "--mount --uts --ipc --net --pid --cgroup --fork --kill-child";
    let enter = format!("echo 0 > \"$1/cgroup.procs\"; exec unshare {namespaces} sh -c \"$0\" boot \"$2\"");
    println!("$ unshare {namespaces} sh xtask/src/dist/boot.sh {}", root.display());
    let mut boot = Command::new("sh");
    boot.args(["-ec", &enter, BOOT]).arg(&cgroup.0).arg(root);
    let status = boot.status().context("start unshare")?;
    let log = root.join(LOG);
    print!("{}", fs::read_to_string(&log).with_context(|| format!("read {}", log.display()))?);
    if !status.success() {
        bail!("the package does not work in a clean Debian: {status}");
    }
    Ok(())
}

/// A cgroup of the booted Debian, removed when dropped. The agent serves no process outside of it.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new() -> Result<Self> {
        let mounts = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new);
        let is_v2 = |mount: &&Path| mount.join("cgroup.controllers").exists();
        let mount = mounts.into_iter().find(is_v2).context("find cgroup v2 at /sys/fs/cgroup")?;
        let folder = mount.join("waggle-dist-check");
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // There is no caller to report an error to, and empty cgroups do no harm.
        let _ = command::output(
            Command::new("find").arg(&self.0).args(["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"]),
        );
    }
}
