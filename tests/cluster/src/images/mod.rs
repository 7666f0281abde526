//! Container images without a registry: made by umoci in OCI's layout from files of this machine, kept in the cache
//! and imported by containerd.

use std::{
    collections::BTreeSet,
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result};

mod containerfile;
mod list;
mod time;

pub use list::PAUSE;

use self::{
    list::{Image, WAGGLE, others, waggle},
    time::Time,
};
use crate::{
    command::{output, succeeds},
    folders,
    programs::Programs,
};

/// The source of Waggle's image.
#[derive(Clone, Debug)]
pub enum Source {
    /// A program of this machine.
    File(PathBuf),
    /// `deploy/Containerfile`.
    Containerfile,
}

impl Source {
    /// The source that the command line names.
    pub fn new(containerfile: bool, program: Option<PathBuf>) -> Result<Self> {
        if containerfile {
            return Ok(Self::Containerfile);
        }
        program.map(Self::File).context("WAGGLE_BIN names the agent: run `cargo xtask cluster`")
    }
}

/// The archives of all images. Makes those that are missing.
pub fn make(programs: &Programs, source: &Source) -> Result<Vec<(String, PathBuf)>> {
    let archive = |image: &Image| Ok((image.name.to_owned(), image.archive()?));
    let mut archives: Vec<_> = others(programs).iter().map(archive).collect::<Result<_>>()?;
    archives.push(match source {
        Source::File(program) => archive(&waggle(program))?,
        Source::Containerfile => (WAGGLE.0.to_owned(), containerfile::build(WAGGLE.0, WAGGLE.1)?),
    });
    Ok(archives)
}

/// Writes Waggle's image with this program as an archive. Equal programs make equal archives if SOURCE_DATE_EPOCH is set.
pub fn write(program: &Path, archive: &Path) -> Result<ExitCode> {
    let image = waggle(program);
    let scratch = archive.with_extension("making");
    image.pack(&image.all_files()?, &scratch, archive)?;
    fs::remove_dir_all(&scratch).with_context(|| format!("remove {}", scratch.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Imports an archive into a node's containerd.
pub fn import(ctr: &mut Command, name: &str, archive: &Path) -> Result<()> {
    ctr.args(["--namespace", "k8s.io", "images", "import", "--base-name", name]).arg(archive);
    output(ctr).map(drop).with_context(|| format!("import {name}"))
}

impl Image {
    /// The image as an archive, whose name has a hash of its contents.
    fn archive(&self) -> Result<PathBuf> {
        let files = self.all_files()?;
        let mut hasher = DefaultHasher::new();
        (self.name, self.tag, self.entrypoint, self.command, self.links, self.has_busybox).hash(&mut hasher);
        for (from, to) in &files {
            let about = fs::metadata(from).with_context(|| format!("image {}: {}", self.name, from.display()))?;
            (to, about.len(), about.modified().ok()).hash(&mut hasher);
        }
        let folder = folders::cache().join("images");
        let short = self.name.rsplit('/').next().unwrap_or(self.name);
        let archive = folder.join(format!("{short}-{:016x}.tar", hasher.finish()));
        if !archive.exists() {
            remove_others(&folder, short);
            let scratch = folder.join(format!("{short}.making"));
            let _ = fs::remove_dir_all(&scratch);
            self.pack(&files, &scratch, &archive).with_context(|| format!("make image {}", self.name))?;
            fs::remove_dir_all(&scratch).with_context(|| format!("remove {}", scratch.display()))?;
        }
        Ok(archive)
    }

    /// The image's files, with the shared libraries that they need.
    fn all_files(&self) -> Result<BTreeSet<(PathBuf, String)>> {
        let mut files: BTreeSet<_> = self.files.iter().map(|(from, to)| (from.clone(), (*to).to_owned())).collect();
        for tool in self.tools {
            let from = output(Command::new("sh").args(["-c", "command -v \"$0\"", tool]))
                .with_context(|| format!("program {tool}: `cargo xtask setup --for cluster` installs it"))?;
            // The program behind an alternative (update-alternatives(1)).
            let from = fs::canonicalize(from.trim())?;
            files.insert((from, format!("/bin/{tool}")));
        }
        let libraries: BTreeSet<_> = files.iter().flat_map(|(program, _)| libraries(program)).collect();
        if !libraries.is_empty() {
            // How the C library resolves names.
            files.insert(("/etc/nsswitch.conf".into(), "/etc/nsswitch.conf".into()));
        }
        files.extend(libraries.into_iter().map(|path| (PathBuf::from(&path), path)));
        Ok(files)
    }

    fn pack(&self, files: &BTreeSet<(PathBuf, String)>, scratch: &Path, archive: &Path) -> Result<()> {
        let root = scratch.join("root");
        for folder in ["tmp", "etc", "bin"] {
            fs::create_dir_all(root.join(folder))?;
        }
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
        fs::write(root.join("etc/passwd"), "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")?;
        fs::write(root.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n")?;
        for (from, to) in files {
            let to = root.join(to.trim_start_matches('/'));
            fs::create_dir_all(to.parent().context("a file at the root")?)?;
            fs::copy(from, &to).with_context(|| format!("copy {}", from.display()))?;
            // Debug information and symbols would be copied into every container.
            succeeds(Command::new("strip").arg("--strip-unneeded").arg(&to));
        }
        if self.has_busybox {
            add_busybox(&root)?;
        }
        for (link, target) in self.links {
            let _ = fs::remove_file(root.join(link.trim_start_matches('/')));
            symlink(target, root.join(link.trim_start_matches('/')))?;
        }
        let time = Time::new()?;
        time.set(&root)?;
        let layout = scratch.join("layout");
        let image = format!("{}:{}", layout.display(), self.tag);
        let umoci = || Command::new("umoci");
        output(umoci().arg("init").arg("--layout").arg(&layout))?;
        output(umoci().args(["new", "--image", &image]))?;
        output(umoci().args(["insert", "--image", &image]).args(time.of_history()).arg(&root).arg("/"))?;
        let mut config = umoci();
        config.args(["config", "--image", &image, "--config.env", "PATH=/usr/local/bin:/usr/bin:/bin"]);
        config.args(self.entrypoint.iter().flat_map(|word| ["--config.entrypoint", word]));
        config.args(self.command.iter().flat_map(|word| ["--config.cmd", word]));
        output(config.args(time.of_history()).args(time.of_image()))?;
        output(umoci().args(["gc", "--layout"]).arg(&layout))?;
        output(Command::new("tar").args(time.of_archive()).arg("-C").arg(&layout).arg("-cf").arg(archive).arg("."))?;
        Ok(())
    }
}

/// Removes archives of the image's earlier contents.
fn remove_others(folder: &Path, short: &str) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let image = path.file_stem().and_then(|stem| stem.to_str()?.rsplit_once('-'));
        if image.is_some_and(|(image, _)| image == short) {
            // A file that can't be removed only takes room.
            let _ = fs::remove_file(&path);
        }
    }
}

/// Adds busybox, and a link to it for each of its programs that the image lacks.
fn add_busybox(root: &Path) -> Result<()> {
    const BUSYBOX: &str = "/bin/busybox";
    fs::copy(BUSYBOX, root.join("bin/busybox")).with_context(|| format!("copy {BUSYBOX}"))?;
    for applet in output(Command::new(BUSYBOX).arg("--list"))?.lines() {
        let link = root.join("bin").join(applet);
        if !link.exists() {
            symlink("busybox", &link).with_context(|| format!("link {}", link.display()))?;
        }
    }
    Ok(())
}

/// The libraries that a program is linked with, and its loader.
fn libraries(program: &Path) -> Vec<String> {
    // ldd says by its exit code that a static program has no libraries.
    output(Command::new("ldd").arg(program)).map_or_else(|_| Vec::new(), |text| paths(&text))
}

/// The paths in what ldd prints.
fn paths(text: &str) -> Vec<String> {
    let path = |line: &str| {
        let line = line.trim();
        let place = line.split_once(" => ").map_or(line, |(_, place)| place);
        place.split(' ').next().filter(|path| path.starts_with('/')).map(str::to_owned)
    };
    text.lines().filter_map(path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_read() {
        let text = "\tlinux-vdso.so.1 (0x00007fff)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert_eq!(paths(text), ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]);
    }
}
