//! A running `waggle capture`.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _},
    path::PathBuf,
    process::{ChildStderr, Command, Stdio},
};

use harness::{
    lab::{Node, Process, find_program},
    scene::{WAIT_LIMIT, until},
};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::frames::{Frame, frames};

/// A running `waggle capture` that writes to a file.
pub struct Capture {
    pub process: Process,
    pub errors: BufReader<ChildStderr>,
    file: PathBuf,
    _folder: TempDir,
}

impl Capture {
    /// Starts the command on a node, and waits until it captures.
    pub fn start(node: &Node, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("packets.pcapng");
        let mut command = Command::new(find_program("waggle", "WAGGLE_BIN").unwrap());
        command.args(["capture", "--instance", &node.instance(), "-w"]).arg(&file).args(arguments);
        command.stderr(Stdio::piped());
        let mut process = node.spawn(command).unwrap();
        let mut errors = BufReader::new(process.take_stderr().unwrap());
        let mut line = String::new();
        errors.read_line(&mut line).unwrap();
        assert!(line.starts_with("waggle: capturing at "), "{line}");
        Self { process, errors, file, _folder: folder }
    }

    /// The frames that are in the file by now.
    pub fn frames(&self) -> Vec<Frame> {
        File::open(&self.file).map(frames).unwrap_or_default()
    }

    /// The ids of its links, by its open descriptors.
    pub fn links(&self) -> BTreeSet<u64> {
        let folder = format!("/proc/{}/fdinfo", self.process.id());
        let texts = fs::read_dir(folder).unwrap().filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
        let link = |text: String| text.lines().find_map(|line| line.strip_prefix("link_id:")?.trim().parse().ok());
        texts.filter_map(link).collect()
    }

    /// Waits until the file has a frame like this.
    pub fn wait(&self, what: &str, is_it: impl Fn(&Frame) -> bool) {
        until(what, || self.frames().iter().any(&is_it));
    }

    /// Ends the command as Ctrl-C does. Returns the frames, and the summary.
    pub fn end(mut self) -> (Vec<Frame>, String) {
        self.process.signal(Signal::SIGINT).unwrap();
        self.ended()
    }

    /// Waits until the command has ended by itself. Returns the frames, and the summary.
    pub fn ended(mut self) -> (Vec<Frame>, String) {
        let status = self.process.wait(WAIT_LIMIT).unwrap();
        let mut summary = String::new();
        self.errors.read_to_string(&mut summary).unwrap();
        assert!(status.success(), "{summary}");
        (self.frames(), summary)
    }
}
