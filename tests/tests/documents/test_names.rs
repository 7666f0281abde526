//! The names of tests that the pages' commands select.

use std::path::Path;

use super::{rust_files, sources};

/// Returns why a command that runs some of the tests would run none; `None` if it runs some, or runs no tests.
pub(super) fn none_selected(line: &str) -> Option<String> {
    let rows = line.strip_prefix("WAGGLE_ROW=").and_then(|rest| rest.split_once(' '));
    let (row, command) = rows.map_or((None, line), |(row, command)| (Some(row), command));
    let of_vm = || command.strip_prefix("cargo xtask vm ").and_then(|rest| Some(rest.split_once(" -- ")?.1));
    let filters = command.strip_prefix("cargo xtask test ").or_else(of_vm).unwrap_or_default();
    let names = names();
    let missing = filters.split_whitespace().find(|filter| !names.iter().any(|name| name.contains(filter)));
    let tables = || sources(&["tests/tests/packet_tables"]);
    let missing = missing.map(|filter| format!("no test's name contains {filter}"));
    missing.or_else(|| row.filter(|row| !tables().contains(row)).map(|row| format!("no row's name contains {row}")))
}

/// Returns the names of the integration tests, with their modules.
fn names() -> Vec<String> {
    let files = rust_files("tests/tests");
    files.iter().flat_map(|(path, text)| of_file(module(path), text)).collect()
}

/// Returns the module of a file: `sockets::affinity::` of `tests/tests/scenarios/sockets/affinity.rs`.
fn module(path: &Path) -> String {
    let parts = path.with_extension("");
    let parts = parts.components().skip(3).filter_map(|part| part.as_os_str().to_str());
    parts.filter(|part| !["mod", "main"].contains(part)).flat_map(|part| [part, "::"]).collect()
}

fn of_file(module: String, text: &str) -> impl Iterator<Item = String> {
    let functions = text.split("#[test]\n").skip(1).filter_map(|rest| rest.split_once("fn ")?.1.split_once('('));
    functions.map(move |(name, _)| format!("{module}{name}"))
}

#[test]
fn a_filter_that_selects_no_test_is_found() {
    assert_eq!(none_selected("cargo xtask test test_names::a_filter_that s24_"), None);
    assert_eq!(none_selected("cargo xtask lint"), None);
    let none = "s99".to_owned() + "_";
    assert_eq!(
        none_selected(&format!("cargo xtask vm 6.1 --test scenarios -- {none}")).unwrap(),
        format!("no test's name contains {none}")
    );
    assert!(
        none_selected(&format!("WAGGLE_ROW={none} cargo xtask test errors::")).unwrap().starts_with("no row's name")
    );
}
