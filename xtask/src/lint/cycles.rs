//! Checks that the modules at the root of the agent import each other without cycles, so that each can be read and moved without
//! the modules that import it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context as _, Result, bail};

use super::sources::visit;
use crate::cargo;

const SOURCES: &str = "proxy-userspace/src";
/// The most files and folders at the root. More would be hard to survey.
const MAX_ENTRIES: usize = 18;

/// For each module at the root, the modules that it imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// Runs the check.
pub(super) fn check() -> Result<()> {
    println!("cycles: the modules at the root of {SOURCES} import each other without cycles");
    let root = cargo::root().join(SOURCES);
    let entries = fs::read_dir(&root).with_context(|| format!("list {}", root.display()))?.count();
    if entries > MAX_ENTRIES {
        bail!("{SOURCES} has {entries} entries, more than {MAX_ENTRIES}: group some");
    }
    let imports = read(&root)?;
    if let Some(cycle) = cycle(&imports) {
        bail!("these modules import each other in a cycle: {}", cycle.join(" -> "));
    }
    Ok(())
}

fn read(root: &Path) -> Result<Imports> {
    let mut imports = Imports::new();
    visit(root, &["rs"], &mut |path| {
        let place = path.strip_prefix(root).unwrap_or(path);
        let name = place.components().next().map(|first| first.as_os_str().to_string_lossy().into_owned());
        let module = name.unwrap_or_default().trim_end_matches(".rs").to_owned();
        // Modules for tests may import anything, and so may the program and the library's list of modules.
        let is_test =
            ["tests", "tests.rs", "any.rs", "memory"].iter().any(|name| place.iter().any(|part| part == *name));
        if is_test || ["main", "lib"].contains(&module.as_str()) {
            return Ok(());
        }
        let source = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        imports.entry(module).or_default().extend(imported(&source));
        Ok(())
    })?;
    for (module, imported) in &mut imports {
        imported.remove(module);
    }
    Ok(imports)
}

/// Returns the root modules that a file names outside its tests.
fn imported(source: &str) -> BTreeSet<String> {
    const CRATE: &str = "crate::";
    let source = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let code: String =
        source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for (start, _) in code.match_indices(CRATE) {
        let rest = &code[start + CRATE.len()..];
        match rest.strip_prefix('{') {
            Some(list) => found.extend(names(list)),
            None => found.extend(name(rest)),
        }
    }
    found
}

/// Returns the first name of each item in a list of imports, up to its closing brace.
fn names(list: &str) -> BTreeSet<String> {
    let (mut depth, mut begins, mut found) = (0, true, BTreeSet::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' => begins |= depth == 0,
            _ if begins && depth == 0 && !c.is_whitespace() => {
                found.extend(name(&list[at..]));
                begins = false;
            }
            _ => {}
        }
    }
    found
}

/// Returns the identifier that a text begins with.
fn name(text: &str) -> Option<String> {
    let length = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    (length > 0).then(|| text[..length].to_owned())
}

/// Returns modules that import each other in a cycle, with the first one again at the end.
fn cycle(imports: &Imports) -> Option<Vec<String>> {
    let mut done = BTreeSet::new();
    imports.keys().find_map(|module| follow(module, imports, &mut Vec::new(), &mut done))
}

fn follow(module: &str, imports: &Imports, way: &mut Vec<String>, done: &mut BTreeSet<String>) -> Option<Vec<String>> {
    if let Some(start) = way.iter().position(|one| one == module) {
        return Some([&way[start..], &[module.to_owned()]].concat());
    }
    if !done.contains(module) {
        way.push(module.to_owned());
        for imported in imports.get(module).into_iter().flatten() {
            if let Some(cycle) = follow(imported, imports, way, done) {
                return Some(cycle);
            }
        }
        way.pop();
        done.insert(module.to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_found_in_lists_and_alone() {
        let source = "use crate::{\n    a::{self, b},\n    c,\n};\nuse crate::d::E;\n//! [crate::f]\nfn g() { crate::h::i() }\n\
                      #[cfg(test)]\nmod tests {\n    use crate::j;\n}\n";
        assert_eq!(imported(source), ["a", "c", "d", "h"].map(str::to_owned).into());
    }

    #[test]
    fn a_cycle_is_named() {
        let imports = |pairs: &[(&str, &str)]| {
            let mut imports = Imports::new();
            for (from, to) in pairs {
                imports.entry((*from).to_owned()).or_default().insert((*to).to_owned());
            }
            imports
        };
        assert_eq!(cycle(&imports(&[("a", "b"), ("a", "c"), ("b", "c")])), None);
        let found = cycle(&imports(&[("a", "b"), ("b", "c"), ("c", "b")])).unwrap();
        assert_eq!(found, ["b", "c", "b"]);
    }
}
