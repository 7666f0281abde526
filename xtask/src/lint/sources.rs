//! Checks source files: their size, that log lines contain each value once, and that errors are printed with their causes.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};

use super::{causes, repeated};
use crate::cargo;

/// The workspace's folders with Rust code.
pub(super) const FOLDERS: [&str; 6] = ["fuzz", "proxy-common", "proxy-ebpf", "proxy-userspace", "tests", "xtask"];

/// The folder whose log lines are checked.
const LOGS: &str = "proxy-userspace/";

/// The number of lines above which a file should be split.
const LONG: usize = 300;

/// The number of lines above which a file must be split.
const TOO_LONG: usize = 400;

/// Runs the check.
pub(super) fn check() -> Result<()> {
    println!(
        "source rules: at most {LONG} lines a file (more than {TOO_LONG} fail), nothing logged twice, causes are logged"
    );
    let mut faults = Vec::new();
    for folder in FOLDERS {
        visit(&cargo::root().join(folder), &["rs"], &mut |path| {
            let source = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
            let name = path.strip_prefix(cargo::root()).unwrap_or(path).display().to_string();
            let lines = source.lines().count();
            if lines > LONG && lines <= TOO_LONG {
                println!("warning: {name} has {lines} lines: split it by concern");
            }
            faults.extend(self::faults(&name, lines, &source));
            Ok(())
        })?;
    }
    if !faults.is_empty() {
        bail!("{} faults\n  {}", faults.len(), faults.join("\n  "));
    }
    Ok(())
}

fn faults(name: &str, lines: usize, source: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if lines > TOO_LONG {
        faults.push(format!("{name} has {lines} lines, more than {TOO_LONG}: split it by concern"));
    }
    let logs = name.starts_with(LOGS).then(|| repeated::repeated(source)).into_iter().flatten();
    faults.extend(logs.map(|(line, field)| format!("{name}:{line}: the log line contains {field} twice")));
    let forgotten = name.starts_with(LOGS).then(|| causes::forgotten(source)).into_iter().flatten();
    faults
        .extend(forgotten.map(|line| format!("{name}:{line}: the log line lacks the error's causes: log its Report")));
    // The tests of this lint have such texts.
    let contained = (!name.starts_with("xtask/")).then(|| causes::contained(source)).into_iter().flatten();
    faults.extend(
        contained.map(|line| format!("{name}:{line}: the error's text contains its cause, which its Report adds")),
    );
    faults
}

/// Calls `each` for the file `path`, or for each file below the folder `path`, with one of `extensions`.
pub(crate) fn visit(path: &Path, extensions: &[&str], each: &mut impl FnMut(&Path) -> Result<()>) -> Result<()> {
    if !path.is_dir() {
        let is_wanted = path.extension().is_some_and(|found| extensions.iter().any(|wanted| found == *wanted));
        return if is_wanted { each(path) } else { Ok(()) };
    }
    let entries = fs::read_dir(path).with_context(|| format!("read {}", path.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    paths.iter().try_for_each(|path| visit(path, extensions, each))
}

#[cfg(test)]
mod tests {
    use super::faults;

    #[test]
    fn only_a_much_too_long_file_fails() {
        assert_eq!(faults("xtask/src/a.rs", 400, ""), Vec::<String>::new());
        assert_eq!(faults("xtask/src/a.rs", 401, "").len(), 1);
    }
}
