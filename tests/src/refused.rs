//! Agents with programs that no kernel accepts: copies of the built agent in which an instruction has an invalid opcode. The
//! verifier refuses them as it refuses programs that it can't follow. This module does not know how an agent reacts to that.
//!
//! It panics if the built agent is not as expected, since a test can't continue then.

#![expect(clippy::missing_panics_doc, reason = "every step panics when it fails, as the page says")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::lab::{find_program, scratch};

/// ELF's number for eBPF.
const EM_BPF: usize = 247;
/// ELF's type of a section with symbols, and the size of one.
const SHT_SYMTAB: usize = 2;
const SYMBOL: usize = 24;
/// An opcode that no eBPF instruction has.
const NOTHING: u8 = 0xff;

/// An agent with refused programs, and its folder, which is removed with it.
#[derive(Debug)]
pub struct RefusedAgent {
    folder: PathBuf,
    program: PathBuf,
}

impl Drop for RefusedAgent {
    fn drop(&mut self) {
        // A later lab removes what is left.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl RefusedAgent {
    /// Copies the built agent and damages these programs.
    pub fn new(programs: &[&str]) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let built = find_program("waggle", "WAGGLE_BIN").expect("find waggle");
        let mut bytes = fs::read(built).expect("read waggle");
        let objects: Vec<_> = find_objects(&bytes).collect();
        for name in programs {
            let places = objects.iter().filter_map(|object| Some(object + find_program_in(&bytes[*object..], name)?));
            let [at] = places.collect::<Vec<_>>()[..] else { panic!("not one program {name}") };
            bytes[at] = NOTHING;
        }
        let folder = scratch(&format!("refused-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        let agent = Self { program: folder.join("waggle"), folder };
        fs::create_dir_all(&agent.folder).expect("make a folder");
        fs::write(&agent.program, bytes).expect("write a damaged waggle");
        fs::set_permissions(&agent.program, fs::Permissions::from_mode(0o755)).expect("make it executable");
        agent
    }

    /// The executable.
    pub fn path(&self) -> &Path {
        &self.program
    }
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> usize {
    let mut word = [0; 8];
    word[..N].copy_from_slice(&bytes[at..at + N]);
    usize::from_le_bytes(word)
}

/// The offsets of the eBPF objects in an executable that embeds them.
fn find_objects(bytes: &[u8]) -> impl Iterator<Item = usize> {
    const MAGIC: &[u8] = b"\x7fELF\x02\x01\x01";
    let is_object = move |at: &usize| {
        let header = &bytes[*at..];
        header.starts_with(MAGIC) && header.len() > 64 && number::<2>(header, 18) == EM_BPF
    };
    // Objects are aligned to eight bytes.
    (0..bytes.len()).step_by(8).filter(is_object)
}

/// The offset of a program in a 64-bit ELF object; `None` if it is not there.
fn find_program_in(object: &[u8], name: &str) -> Option<usize> {
    let (headers, size, count) = (number::<8>(object, 40), number::<2>(object, 58), number::<2>(object, 60));
    let header = |section: usize| &object[headers + section * size..];
    let begin = |section: usize| number::<8>(header(section), 24);
    let symbols = (0..count).find(|section| number::<4>(header(*section), 4) == SHT_SYMTAB).expect("it has symbols");
    let names = begin(number::<4>(header(symbols), 40));
    let is_named = |symbol: &&[u8]| {
        let text = &object[names + number::<4>(symbol, 0)..];
        text.starts_with(name.as_bytes()) && text[name.len()] == 0
    };
    let mut table = object[begin(symbols)..][..number::<8>(header(symbols), 32)].chunks_exact(SYMBOL);
    let symbol = table.find(is_named)?;
    Some(begin(number::<2>(symbol, 6)) + number::<8>(symbol, 8))
}
