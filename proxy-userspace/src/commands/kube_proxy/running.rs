//! Finds a running kube-proxy. Processes in other network namespaces, for example of nodes in containers, are ignored.

use std::{
    fs, io,
    os::linux::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

const NAME: &str = "kube-proxy";

/// Returns the process id of a kube-proxy in the caller's network namespace.
pub(super) fn find(proc: &Path) -> io::Result<Option<u32>> {
    let own = namespace(&proc.join("thread-self"))?;
    for entry in fs::read_dir(proc)? {
        let path: PathBuf = entry?.path();
        let Some(id) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) else { continue };
        if is_kube_proxy(&path) && may_have(&path, own) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

fn is_kube_proxy(process: &Path) -> bool {
    // A process that has just ended has neither file.
    let command = fs::read(process.join("cmdline")).unwrap_or_default();
    let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
    name.trim_end() == NAME || first_word_is(&command)
}

/// True if a command line begins with a path of kube-proxy.
fn first_word_is(command: &[u8]) -> bool {
    let program = command.split(|byte| *byte == 0).next().unwrap_or_default();
    program.rsplit(|byte| *byte == b'/').next() == Some(NAME.as_bytes())
}

/// True if a process has this network namespace, or if its namespace can't be read.
fn may_have(process: &Path, own: (u64, u64)) -> bool {
    match namespace(process) {
        Ok(its) => its == own,
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

fn namespace(process: &Path) -> io::Result<(u64, u64)> {
    let file = fs::metadata(process.join("ns/net"))?;
    Ok((file.st_dev(), file.st_ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates a process's folder, with a file as its network namespace.
    fn process(proc: &Path, id: &str, name: &str, command: &[u8], namespace: &str) {
        let folder = proc.join(id);
        fs::create_dir_all(folder.join("ns")).unwrap();
        fs::write(folder.join("comm"), format!("{name}\n")).unwrap();
        fs::write(folder.join("cmdline"), command).unwrap();
        fs::write(proc.join(namespace), "").unwrap();
        fs::hard_link(proc.join(namespace), folder.join("ns/net")).unwrap();
    }

    #[test]
    fn kube_proxy_of_the_same_network_namespace_is_found() {
        let proc = tempfile::tempdir().unwrap();
        process(proc.path(), "thread-self", "waggle", b"waggle\0cleanup\0", "own");
        process(proc.path(), "10", "sh", b"sh\0-c\0kube-proxy\0", "own");
        process(proc.path(), "11", "kube-proxy", b"/usr/local/bin/kube-proxy\0", "other");
        assert_eq!(find(proc.path()).unwrap(), None);
        process(proc.path(), "12", "exe", b"/usr/local/bin/kube-proxy\0--config=/a\0", "own");
        assert_eq!(find(proc.path()).unwrap(), Some(12));
    }

    #[test]
    fn a_process_is_known_by_its_name_too() {
        let proc = tempfile::tempdir().unwrap();
        process(proc.path(), "thread-self", "waggle", b"", "own");
        process(proc.path(), "7", "kube-proxy", b"hyperkube\0kube-proxy\0", "own");
        assert_eq!(find(proc.path()).unwrap(), Some(7));
    }
}
