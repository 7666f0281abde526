//! Builds the machine's only file system: busybox, tools of the system, kernel modules, the tests, and the programs that they
//! start.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use super::{
    kernel::Kernel,
    modules::{self, MODULES},
    selection::Selection,
};
use crate::{cargo, command, ebpf_toolchain::find_program};

/// Programs that are copied from this system.
const PROGRAMS: [&str; 12] = [
    "bpftool",
    "busybox",
    "ethtool",
    "ip",
    "ip6tables-nft-restore",
    "ip6tables-nft-save",
    "ipset",
    "iptables-nft-restore",
    "iptables-nft-save",
    "ipvsadm",
    "nft",
    "wg",
];

/// The folder from which the iptables programs load their matches and targets.
const XTABLES: &str = "/usr/lib/x86_64-linux-gnu/xtables";

/// The page whose commands the tests type.
const PAGE: &str = "deploy/README.md";

/// The content of /etc/protocols, by which ipset finds the numbers of protocols.
const PROTOCOLS: &str = "tcp 6\nudp 17\nsctp 132\n";

/// The folders of the file system.
const FOLDERS: [&str; 10] = ["applets", "bin", "dev", "etc", "modules", "proc", "run", "sys", "tmp", "waggle"];

/// Builds the file system in `folder` and returns the path of the archive.
pub(super) fn build(
    folder: &Path,
    kernel: &Kernel,
    selections: &[Selection],
    programs: &[(String, PathBuf)],
) -> Result<PathBuf> {
    let root = folder.join("root");
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("remove {}", root.display()))?;
    }
    for name in FOLDERS {
        fs::create_dir_all(root.join(name)).with_context(|| format!("create {name} in {}", root.display()))?;
    }
    write(&root.join("init"), include_str!("init.sh"))?;
    fs::set_permissions(root.join("init"), fs::Permissions::from_mode(0o755)).context("make init executable")?;
    write(&root.join("etc/protocols"), PROTOCOLS)?;
    let lines: Vec<_> = selections.iter().map(Selection::line).collect();
    write(&root.join("tests"), &(lines.join("\n") + "\n"))?;
    for name in PROGRAMS {
        let program = find_program(name).with_context(|| format!("find program {name}: run `cargo xtask setup`"))?;
        copy(&program, &root.join("bin").join(name))?;
        copy_libraries(&program, &root)?;
    }
    copy_folder(Path::new(XTABLES), &root)?;
    copy_page(&root)?;
    for (name, path) in programs {
        // A test executable is mostly debug information, and the file system is in memory.
        let stripped = root.join("waggle").join(name);
        command::run(Command::new("strip").args(["--strip-debug", "-o"]).args([&stripped, path]))?;
        copy_libraries(path, &root)?;
    }
    copy_modules(kernel, &root)?;
    pack(&root, &folder.join("initramfs"))
}

/// Copies the modules to `/modules`, and writes their names to `/modules/order` in the order of loading.
fn copy_modules(kernel: &Kernel, root: &Path) -> Result<()> {
    let path = kernel.modules.join("modules.dep");
    let dependencies = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let mut order = Vec::new();
    for file in modules::in_order(&dependencies, &MODULES)? {
        let name = file.rsplit('/').next().unwrap_or(file);
        copy(&kernel.modules.join(file), &root.join("modules").join(name))?;
        order.push(name);
    }
    write(&root.join("modules/order"), &(order.join("\n") + "\n"))
}

/// Copies the page to the path where the tests have it.
fn copy_page(root: &Path) -> Result<()> {
    let page = cargo::root().join(PAGE);
    let target = root.join(page.strip_prefix("/").unwrap_or(&page));
    let folder = target.parent().unwrap_or(root);
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    copy(&page, &target)
}

/// Copies a folder's files to the same paths.
fn copy_folder(folder: &Path, root: &Path) -> Result<()> {
    let target = root.join(folder.strip_prefix("/").unwrap_or(folder));
    fs::create_dir_all(&target).with_context(|| format!("create {}", target.display()))?;
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let file = entry.with_context(|| format!("read {}", folder.display()))?;
        copy(&file.path(), &target.join(file.file_name()))?;
    }
    Ok(())
}

/// Copies the shared libraries of `program` to the same paths.
fn copy_libraries(program: &Path, root: &Path) -> Result<()> {
    let output = command::output(Command::new("ldd").arg(program))?;
    for library in libraries(&String::from_utf8_lossy(&output.stdout)) {
        let target = root.join(library.trim_start_matches('/'));
        if let Some(folder) = target.parent().filter(|_| !target.exists()) {
            fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
            copy(Path::new(library), &target)?;
        }
    }
    Ok(())
}

/// Returns the paths in the output of ldd; none for a static program.
fn libraries(ldd: &str) -> Vec<&str> {
    ldd.split_whitespace().filter(|word| word.starts_with('/') && !word.ends_with(':')).collect()
}

fn pack(root: &Path, archive: &Path) -> Result<PathBuf> {
    let file = File::create(archive).with_context(|| format!("create {}", archive.display()))?;
    let mut find =
        Command::new("find").arg(".").current_dir(root).stdout(Stdio::piped()).spawn().context("start find")?;
    let names = find.stdout.take().context("read what find prints")?;
    let mut cpio = Command::new("cpio");
    cpio.args(["--create", "--format=newc", "--owner=+0:+0", "--quiet"]).current_dir(root).stdin(names).stdout(file);
    command::run(&mut cpio)?;
    let status = find.wait().context("wait for find")?;
    if !status.success() {
        bail!("`find` failed: {status}");
    }
    Ok(archive.into())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("copy {} to {}", from.display(), to.display())).map(drop)
}

#[cfg(test)]
mod tests {
    use super::libraries;

    #[test]
    fn libraries_and_the_loader_are_found() {
        let ldd = "\tlinux-vdso.so.1 (0x00007ffe)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                   \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert_eq!(libraries(ldd), ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]);
        assert_eq!(libraries("\tnot a dynamic executable\n"), Vec::<&str>::new());
    }
}
