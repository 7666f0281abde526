//! docs/reference.md, which is generated from the code: commands and flags, reasons to refuse, and what makes the agent unhealthy.
//! A test fails while the file says something else; `cargo xtask docs` writes it. Only tests are compiled with this.

mod configuration;
mod flags;
mod health;
mod reasons;
mod text;

use std::{env, fs};

/// The file.
const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference.md");

/// If this variable is set, the file is written instead of compared.
const UPDATE: &str = "WAGGLE_UPDATE_REFERENCE";

const HEAD: &str = "\
# Reference

<!-- Generated from the code: `cargo xtask docs` writes this page, and a test fails while it differs. Edit the code instead. -->

Every command and flag, every reason for which packets and calls are refused, and everything that makes the agent unhealthy. Other
pages list [metrics](metrics.md), [Events](metrics.md#events), [maps](ARCHITECTURE.md#maps) and the [permissions](security.md) that
the agent needs. [operate.md](operate.md) says how they are used.
";

/// Returns the page.
fn page() -> String {
    [HEAD.to_owned(), flags::section(), configuration::section(), reasons::section(), health::section()].join("\n")
}

#[test]
fn the_reference_is_what_the_code_says() {
    let page = page();
    if env::var_os(UPDATE).is_some() {
        fs::write(PATH, page).unwrap();
        return;
    }
    let committed = fs::read_to_string(PATH).unwrap_or_default();
    let differs = committed.lines().zip(page.lines()).position(|(committed, generated)| committed != generated);
    let line = differs.unwrap_or_else(|| committed.lines().count().min(page.lines().count())) + 1;
    assert!(committed == page, "docs/reference.md is out of date from line {line} on: type `cargo xtask docs`");
}
