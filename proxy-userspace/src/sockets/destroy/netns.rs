//! Finds the network namespaces of this machine, and opens something in each. The caller's own thread stays in its namespace.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::linux::fs::MetadataExt,
    path::PathBuf,
    sync::mpsc::sync_channel,
    thread,
};

use nix::{
    sched::{CloneFlags, setns},
    sys::statfs::{NSFS_MAGIC, fstatfs},
    unistd::gettid,
};

/// The folders in which container runtimes and ip-netns(8) name namespaces.
const NAMED: [&str; 2] = ["/run/netns", "/run/docker/netns"];
/// How many namespaces are opened ahead of the one being searched.
const AHEAD: usize = 4;

/// The namespaces that were found.
#[derive(Debug, Default)]
pub(crate) struct Namespaces {
    /// The paths that lead to each namespace, by its device and inode. All are kept, since processes may end at any time.
    paths: BTreeMap<(u64, u64), Vec<PathBuf>>,
    /// How many paths to namespaces could not be read for lack of permission.
    pub(crate) hidden: usize,
}

impl Namespaces {
    /// Finds every namespace that has a name or a process, including the caller's own.
    pub(crate) fn find() -> io::Result<Self> {
        let mut found = Self::default();
        // Not /proc/thread-self: for the thread that visits, it would lead to the namespace that it has entered last.
        found.add(format!("/proc/self/task/{}/ns/net", gettid()).into());
        for entry in NAMED.into_iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten() {
            found.add(entry?.path());
        }
        for entry in fs::read_dir("/proc")? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit) {
                found.add(entry.path().join("ns/net"));
            }
        }
        Ok(found)
    }

    fn add(&mut self, path: PathBuf) {
        match fs::metadata(&path) {
            Ok(file) => self.paths.entry((file.st_dev(), file.st_ino())).or_default().push(path),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => self.hidden += 1,
            // The process has ended.
            Err(_) => {}
        }
    }

    /// Calls `open` in each namespace, on a separate thread, and `visit` with the result on the caller's thread.
    /// Namespaces that no longer exist are skipped. Stops at the first error of `visit`.
    pub(crate) fn visit<T: Send, E>(
        &self,
        open: impl Fn() -> io::Result<T> + Send,
        mut visit: impl FnMut(io::Result<T>) -> Result<(), E>,
    ) -> io::Result<Result<(), E>> {
        thread::scope(|scope| {
            let (sender, receiver) = sync_channel(AHEAD);
            // The thread ends with the scope, and nothing else ever runs in the namespaces that it has entered.
            thread::Builder::new().name("netns".into()).spawn_scoped(scope, move || {
                let opened = self.paths.values().filter_map(|paths| enter(paths).transpose());
                for entered in opened {
                    if sender.send(entered.and_then(|()| open())).is_err() {
                        break;
                    }
                }
            })?;
            Ok(receiver.into_iter().try_for_each(&mut visit))
        })
    }
}

/// Moves the calling thread into the namespace to which the first usable path leads. Returns `None` if there is no such path.
fn enter(paths: &[PathBuf]) -> io::Result<Option<()>> {
    let mut refused = None;
    for path in paths {
        match File::open(path).and_then(|file| Ok(is_namespace(&file)?.then(|| setns(file, CloneFlags::CLONE_NEWNET))))
        {
            Ok(Some(entered)) => {
                entered?;
                return Ok(Some(()));
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => refused = Some(error),
            Ok(None) | Err(_) => {}
        }
    }
    refused.map_or(Ok(None), Err)
}

/// Whether a file is a namespace. A name whose mount is not visible here is an ordinary empty file.
fn is_namespace(file: &File) -> io::Result<bool> {
    Ok(fstatfs(file)?.filesystem_type() == NSFS_MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s29_a_name_with_no_namespace_behind_it_is_passed_over() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert!(enter(&[file.into(), "/nowhere".into()]).unwrap().is_none());
    }
}
