//! Checks that the tests that docs/security.md names exist. Pure, except for `check`.

use std::{collections::BTreeSet, fs};

use anyhow::{Context as _, Result, bail};

use super::sources::{self, FOLDERS};
use crate::cargo;

/// The document.
const DOCUMENT: &str = "docs/security.md";

/// Text in backticks with at least this many underscores is the name of a test.
const UNDERSCORES: usize = 3;

/// Runs the check.
pub(super) fn check() -> Result<()> {
    println!("security: every test that {DOCUMENT} names exists");
    let text = fs::read_to_string(cargo::root().join(DOCUMENT)).with_context(|| format!("read {DOCUMENT}"))?;
    let mut tests = BTreeSet::new();
    for folder in FOLDERS {
        sources::visit(&cargo::root().join(folder), &["rs"], &mut |path| {
            let source = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
            tests.extend(tests_of(&source).map(str::to_owned));
            Ok(())
        })?;
    }
    let missing = missing(&text, &tests);
    if !missing.is_empty() {
        bail!("{DOCUMENT} names tests that do not exist: {}", missing.join(", "));
    }
    Ok(())
}

/// Returns the named tests that do not exist. A text that names no tests lacks "(any test at all)".
fn missing<'a>(text: &'a str, tests: &BTreeSet<String>) -> Vec<&'a str> {
    let named: BTreeSet<&str> = text.split('`').skip(1).step_by(2).filter(|word| is_name(word)).collect();
    if named.is_empty() {
        return vec!["(any test at all)"];
    }
    named.into_iter().filter(|name| !tests.contains(*name)).collect()
}

fn is_name(word: &str) -> bool {
    let known = |byte: u8| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit();
    word.bytes().all(known) && word.matches('_').count() >= UNDERSCORES
}

/// Returns the names of test functions.
fn tests_of(source: &str) -> impl Iterator<Item = &str> {
    let behind = source.split("#[test]").skip(1).chain(source.split("#[tokio::test").skip(1));
    behind.filter_map(|part| part.split_once("fn ")?.1.split(['(', '<']).next())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "fn a_help_er_x() {}\n#[test]\n#[ignore]\nfn a_test_of_it() {}\n#[tokio::test]\nasync fn b_test_of_it(a in x) {}";

    #[test]
    fn names_of_tests_must_be_tests() {
        let tests: BTreeSet<String> = tests_of(SOURCE).map(str::to_owned).collect();
        assert_eq!(
            missing("`a_test_of_it`, `b_test_of_it`: `no_new_privs`, `waggle cleanup`, `f_g_h_i()`", &tests),
            [""; 0]
        );
        assert_eq!(missing("`a_test_of_it` `is_not_there_x` `is_not_there_x`", &tests), ["is_not_there_x"]);
        assert_eq!(missing("nothing", &tests).len(), 1);
    }
}
