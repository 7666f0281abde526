//! The Markdown pages say what is true of the command line, the maps, the log and CI. Needs no privileges. `cargo xtask lint`
//! checks their links, and [`typed`] has the tests that run their commands.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod command_lines;
mod first_try;
mod log_lines;
mod maps;
mod prose;
mod test_names;
mod typed;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where the pages are. Decisions are not among them: they tell of flags and maps of their time.
const FOLDERS: [&str; 4] = ["", "deploy", "deploy/monitoring", "docs"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Reads a file of the repository.
fn read(file: &str) -> String {
    let path = root().join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}

/// Returns the files in a folder of the repository that have this extension.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

/// Returns the Rust sources in a folder of the repository and below: their paths from the repository's folder, and their texts.
fn rust_files(folder: &str) -> Vec<(PathBuf, String)> {
    let (mut found, mut folders) = (Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
            }
        }
    }
    found
}

/// Returns all sources in folders of the repository, without the line breaks inside of texts.
fn sources(folders: &[&str]) -> String {
    let mut sources = String::new();
    for (_, text) in folders.iter().flat_map(|folder| rust_files(folder)) {
        text.split("\\\n").for_each(|part| sources.push_str(part.trim_start()));
    }
    sources
}

/// Returns every page: its path from the repository's folder, and its text.
fn pages() -> Vec<(String, String)> {
    let paths = FOLDERS.into_iter().flat_map(|folder| files(folder, "md"));
    let named = paths.map(|path| path.strip_prefix(root()).unwrap().display().to_string());
    named.map(|name| (name.clone(), read(&name))).collect()
}

/// Returns the lines in a page's code blocks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split("```").skip(1).step_by(2).flat_map(|block| block.lines().skip(1))
}
