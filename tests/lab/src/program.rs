//! Finds the programs that a lab starts.

use std::{
    env,
    path::{Path, PathBuf},
};

use super::error::{Error, Result};

/// The path of the program `name`: that in the environment variable, else the file in this executable's folder (of a
/// program) or the one above (of a test), else in the folder of the other build profile.
pub fn find(name: &str, variable: &'static str) -> Result<PathBuf> {
    if let Some(path) = env::var_os(variable) {
        return Ok(path.into());
    }
    let own = env::current_exe().unwrap_or_default();
    let found = candidates(&own, name).into_iter().find(|path| path.is_file());
    found.ok_or_else(|| Error::Program { name: name.to_owned(), variable })
}

/// Paths where an executable at `own` may find the program, the likeliest first.
fn candidates(own: &Path, name: &str) -> Vec<PathBuf> {
    let folders: Vec<_> = own.ancestors().skip(1).take(2).collect();
    let near = folders.iter().map(|folder| folder.join(name));
    let profiles = folders.iter().filter_map(|folder| folder.parent());
    let other = profiles.flat_map(|target| ["debug", "release"].map(|profile| target.join(profile).join(name)));
    near.chain(other).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_profile_comes_before_the_other() {
        let paths = candidates(Path::new("/t/release/deps/lab-1"), "waggle");
        let at = |path: &str| paths.iter().position(|candidate| candidate == Path::new(path));
        assert!(at("/t/release/waggle").unwrap() < at("/t/debug/waggle").unwrap());
        assert_eq!(candidates(Path::new("/t/debug/xtask"), "waggle")[0], Path::new("/t/debug/waggle"));
    }
}
