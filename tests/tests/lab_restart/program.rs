//! Agents that are not the built one, and the API server that never answers.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use harness::lab::{find_program, scratch};
use serde_json::json;

/// ELF's number for eBPF.
const EM_BPF: u16 = 247;

/// The files of one test; they go with it.
pub struct Files(PathBuf);

impl Drop for Files {
    fn drop(&mut self) {
        // What is left is swept with the lab's.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Files {
    pub fn new(name: &str) -> Self {
        let folder = scratch(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// A kubeconfig whose API server takes packets and never answers: nobody has the address.
    pub fn silent_api_server(&self) -> String {
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "silent", "cluster": {"server": "http://192.168.50.250:6443"}}],
            "users": [{"name": "silent", "user": {}}],
            "contexts": [{"name": "silent", "context": {"cluster": "silent", "user": "silent"}}],
            "current-context": "silent",
        });
        let path = self.0.join("kubeconfig");
        fs::write(&path, config.to_string()).unwrap();
        text(&path)
    }

    /// The built agent with programs that no kernel takes: an instruction of one for TC has no meaning.
    pub fn refused(&self) -> String {
        let mut bytes = fs::read(built()).unwrap();
        let object = find_object(&bytes);
        let at = section(&bytes[object..], "classifier");
        bytes[object + at] = 0xff;
        let path = self.0.join("waggle-refused");
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        text(&path)
    }
}

/// The built agent.
pub fn built() -> String {
    text(&find_program("waggle", "WAGGLE_BIN").unwrap())
}

/// The same, built with another ABI.
pub fn other_abi() -> String {
    text(&find_program("waggle-other-abi", "WAGGLE_OTHER_ABI_BIN").unwrap())
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> usize {
    let mut word = [0; 8];
    word[..N].copy_from_slice(&bytes[at..at + N]);
    usize::from_le_bytes(word)
}

/// Where the eBPF object begins in an executable that embeds it.
fn find_object(bytes: &[u8]) -> usize {
    const MAGIC: &[u8] = b"\x7fELF\x02\x01\x01";
    let is_object = |at: &usize| {
        let header = &bytes[*at..];
        header.starts_with(MAGIC) && header.len() > 64 && number::<2>(header, 18) == usize::from(EM_BPF)
    };
    // Objects are aligned.
    (0..bytes.len()).step_by(8).find(is_object).expect("the agent embeds its eBPF object")
}

/// Where a section begins in a 64-bit ELF object.
fn section(object: &[u8], name: &str) -> usize {
    let (headers, size, count, names) =
        (number::<8>(object, 40), number::<2>(object, 58), number::<2>(object, 60), number::<2>(object, 62));
    let header = |index: usize| &object[headers + index * size..];
    let strings = &object[number::<8>(header(names), 24)..];
    let is_named = |index: &usize| {
        let text = &strings[number::<4>(header(*index), 0)..];
        text.starts_with(name.as_bytes()) && text[name.len()] == 0
    };
    let found = (0..count).find(is_named).unwrap_or_else(|| panic!("no section {name}"));
    number::<8>(header(found), 24)
}
