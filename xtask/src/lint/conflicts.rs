//! Checks that no file has the markers of an unresolved merge (git-merge(1)). In pages and manifests nothing else finds them.

use std::fs;

use anyhow::{Result, bail};

use super::sources::{FOLDERS, visit};
use crate::{cargo, markdown};

/// The kinds of text files in the repository.
const TEXTS: [&str; 14] =
    ["css", "html", "js", "json", "lock", "md", "mod", "rs", "service", "sh", "svg", "toml", "tpl", "yaml"];

/// The markers. A space or the end of the line follows.
const MARKERS: [&str; 4] = ["<<<<<<<", "|||||||", "=======", ">>>>>>>"];

/// Runs the check.
pub(super) fn check() -> Result<()> {
    println!("conflicts: no file has markers of an unresolved merge");
    let mut faults = Vec::new();
    for place in FOLDERS.into_iter().chain(markdown::PLACES).chain(["Cargo.lock", "Cargo.toml"]) {
        visit(&cargo::root().join(place), &TEXTS, &mut |path| {
            let text = String::from_utf8_lossy(&fs::read(path)?).into_owned();
            let name = path.strip_prefix(cargo::root()).unwrap_or(path).display();
            faults.extend(marked(&text).map(|line| format!("{name}:{line}")));
            Ok(())
        })?;
    }
    if !faults.is_empty() {
        bail!("a merge is not resolved: keep one side, and remove the markers\n  {}", faults.join("\n  "));
    }
    Ok(())
}

/// Returns the numbers of the lines that are markers.
fn marked(text: &str) -> impl Iterator<Item = usize> {
    let is_marker = |line: &str| {
        let rest = MARKERS.iter().find_map(|marker| line.strip_prefix(marker));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    (1..).zip(text.lines()).filter(move |(_, line)| is_marker(line)).map(|(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::marked;

    #[test]
    fn markers_are_found_and_longer_rules_are_not() {
        let marks = ["<<<<<<< HEAD", "ours", "||||||| 1234", "=======", "theirs", ">>>>>>> branch"];
        assert_eq!(marked(&marks.join("\n")).collect::<Vec<_>>(), [1, 3, 4, 6]);
        assert_eq!(marked("========\n  =======\n>>>>>>>x\n").count(), 0);
    }
}
