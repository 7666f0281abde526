//! Container images without a registry: made of files of this machine, in OCI's layout by umoci, kept in the cache and imported
//! by containerd.

use std::{
    collections::BTreeSet,
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    command::{output, succeeds},
    folders,
    programs::Programs,
};

/// An image: what is in it and what it starts.
struct Image {
    name: &'static str,
    tag: &'static str,
    /// Files of this machine and where they lie in the image.
    files: Vec<(PathBuf, String)>,
    /// Programs of this machine, by name, with the libraries that they need.
    tools: &'static [&'static str],
    links: Vec<(&'static str, String)>,
    entrypoint: &'static [&'static str],
    command: &'static [&'static str],
}

/// The image that a pod's namespaces are held by.
pub const PAUSE: &str = "registry.k8s.io/pause:3.10.1";

/// What the commands in Kubernetes' tests call in a pod.
const TOOLS: &[&str] = &[
    "bash",
    "sh",
    "cat",
    "ls",
    "sleep",
    "date",
    "hostname",
    "head",
    "tail",
    "grep",
    "sed",
    "env",
    "wc",
    "seq",
    "tr",
    "cut",
    "mkdir",
    "rm",
    "touch",
    "id",
    "uname",
    "timeout",
    "curl",
    "nc.openbsd",
    "ip",
    "ss",
    "dig",
    "ping",
    "iperf",
];

fn all(programs: &Programs, waggle: &Path) -> Vec<Image> {
    let program = |name: &str, to: &str| (programs.path(name), to.to_owned());
    let applets =
        ["sh", "cat", "ls", "sleep", "wget", "nc", "nslookup", "ping", "ip", "echo", "date", "httpd", "true", "false"];
    vec![
        Image {
            name: "registry.k8s.io/pause",
            tag: "3.10.1",
            files: vec![program("agnhost", "/agnhost")],
            tools: &[],
            links: Vec::new(),
            entrypoint: &["/agnhost"],
            command: &["pause"],
        },
        Image {
            name: "registry.k8s.io/e2e-test-images/agnhost",
            tag: "2.63.0",
            files: vec![program("agnhost", "/agnhost"), program("coredns", "/coredns")],
            tools: TOOLS,
            links: vec![("/agnhost-2", "agnhost".into()), ("/bin/nc", "nc.openbsd".into())],
            entrypoint: &["/agnhost"],
            command: &["pause"],
        },
        Image {
            name: "registry.k8s.io/e2e-test-images/busybox",
            tag: "1.37.0-1",
            files: vec![("/bin/busybox".into(), "/bin/busybox".into())],
            tools: &[],
            links: applets.map(|applet| (applet, "busybox".to_owned())).into(),
            entrypoint: &[],
            command: &["sh"],
        },
        Image {
            name: "registry.k8s.io/e2e-test-images/regression-issue-74839",
            tag: "1.4",
            files: vec![program("regression-issue-74839", "/regression-issue-74839")],
            tools: &[],
            links: Vec::new(),
            entrypoint: &["/regression-issue-74839"],
            command: &[],
        },
        Image {
            name: "registry.k8s.io/coredns/coredns",
            tag: "lab",
            files: vec![program("coredns", "/coredns")],
            tools: &[],
            links: Vec::new(),
            entrypoint: &["/coredns"],
            command: &[],
        },
        Image {
            name: "docker.io/library/waggle",
            tag: "0.1.0",
            files: vec![(waggle.to_owned(), "/usr/local/bin/waggle".into())],
            tools: &[],
            links: Vec::new(),
            entrypoint: &["/usr/local/bin/waggle"],
            command: &[],
        },
    ]
}

/// The archives of all images, made if they are not there.
pub fn make(programs: &Programs, waggle: &Path) -> Result<Vec<(String, PathBuf)>> {
    all(programs, waggle).iter().map(|image| Ok((image.name.to_owned(), image.archive()?))).collect()
}

/// Imports an archive into a node's containerd.
pub fn import(ctr: &mut Command, name: &str, archive: &Path) -> Result<()> {
    ctr.args(["--namespace", "k8s.io", "images", "import", "--base-name", name]).arg(archive);
    output(ctr).map(drop).with_context(|| format!("import {name}"))
}

impl Image {
    /// The image as an archive, of whose contents the name tells.
    fn archive(&self) -> Result<PathBuf> {
        let files = self.all_files()?;
        let mut hasher = DefaultHasher::new();
        (self.name, self.tag, self.entrypoint, self.command, &self.links).hash(&mut hasher);
        for (from, to) in &files {
            let about = fs::metadata(from).with_context(|| format!("image {}: {}", self.name, from.display()))?;
            (to, about.len(), about.modified().ok()).hash(&mut hasher);
        }
        let folder = folders::cache().join("images");
        let short = self.name.rsplit('/').next().unwrap_or(self.name);
        let archive = folder.join(format!("{short}-{:016x}.tar", hasher.finish()));
        if !archive.exists() {
            let scratch = folder.join(format!("{short}.making"));
            let _ = fs::remove_dir_all(&scratch);
            self.pack(&files, &scratch, &archive).with_context(|| format!("make image {}", self.name))?;
            fs::remove_dir_all(&scratch).with_context(|| format!("remove {}", scratch.display()))?;
        }
        Ok(archive)
    }

    /// Its files, with the libraries of those that need some.
    fn all_files(&self) -> Result<BTreeSet<(PathBuf, String)>> {
        let mut files: BTreeSet<_> = self.files.iter().cloned().collect();
        for tool in self.tools {
            let from = output(Command::new("sh").args(["-c", "command -v \"$0\"", tool]))
                .with_context(|| format!("program {tool}: `cargo xtask setup --for cluster` installs it"))?;
            // Of an alternative (update-alternatives(1)), the program itself.
            let from = fs::canonicalize(from.trim())?;
            files.insert((from, format!("/bin/{tool}")));
        }
        for (program, _) in files.clone() {
            files.extend(libraries(&program)?.into_iter().map(|path| (PathBuf::from(&path), path)));
        }
        // How names are resolved.
        files.insert(("/etc/nsswitch.conf".into(), "/etc/nsswitch.conf".into()));
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
        for (link, target) in &self.links {
            let link = if link.starts_with('/') { link.trim_start_matches('/').into() } else { format!("bin/{link}") };
            symlink(target, root.join(link))?;
        }
        let layout = scratch.join("layout");
        let image = format!("{}:{}", layout.display(), self.tag);
        let umoci = || Command::new("umoci");
        output(umoci().arg("init").arg("--layout").arg(&layout))?;
        output(umoci().args(["new", "--image", &image]))?;
        output(umoci().args(["insert", "--image", &image]).arg(&root).arg("/"))?;
        let mut config = umoci();
        config.args(["config", "--image", &image, "--config.env", "PATH=/usr/local/bin:/usr/bin:/bin"]);
        config.args(self.entrypoint.iter().flat_map(|word| ["--config.entrypoint", word]));
        config.args(self.command.iter().flat_map(|word| ["--config.cmd", word]));
        output(&mut config)?;
        output(umoci().args(["gc", "--layout"]).arg(&layout))?;
        output(Command::new("tar").arg("-C").arg(&layout).arg("-cf").arg(archive).arg("."))?;
        Ok(())
    }
}

/// The libraries that a program is linked with, and its loader.
fn libraries(program: &Path) -> Result<Vec<String>> {
    // A static program has none, of which ldd says so by its exit code.
    let Ok(text) = output(Command::new("ldd").arg(program)) else { return Ok(Vec::new()) };
    Ok(paths(&text))
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
