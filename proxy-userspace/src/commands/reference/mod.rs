//! What is generated from the code: docs/reference.md (commands and flags, reasons to refuse, and what makes the agent unhealthy),
//! and the tables of docs/metrics.md. A test fails while a page says something else; `cargo xtask docs` writes them. Only tests are
//! compiled with this.

mod configuration;
mod environment;
mod events;
mod flags;
mod health;
mod metrics;
mod reasons;
mod text;

use std::{env, fs};

/// The folder of the pages.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");

/// If this variable is set, the pages are written instead of compared.
const UPDATE: &str = "WAGGLE_UPDATE_REFERENCE";

const HEAD: &str = "\
# Reference

<!-- Generated from the code: `cargo xtask docs` writes this page, and a test fails while it differs. Edit the code instead. -->

Every command and flag, exit code and environment variable, every reason for which packets and calls are refused, and everything
that makes the agent unhealthy. Other pages list [metrics](metrics.md), [Events](metrics.md#events), [maps](ARCHITECTURE.md#maps)
and the [permissions](security.md) that the agent needs. [operate.md](operate.md) says how they are used.
";

/// Returns docs/reference.md.
fn reference() -> String {
    [
        HEAD.to_owned(),
        flags::section(),
        environment::section(),
        configuration::section(),
        reasons::section(),
        health::section(),
    ]
    .join("\n")
}

/// Returns docs/metrics.md with its tables as they should be. Its prose is written by hand.
fn metrics(committed: &str) -> String {
    let tables = metrics::tables().into_iter().chain([("events", events::table())]);
    tables.fold(committed.to_owned(), |page, (name, table)| text::filled(&page, name, &table))
}

/// Fails if a page differs from what it should be, or writes it if [`UPDATE`] says so. `generate` gets the page as it is.
fn compare(page: &str, generate: impl Fn(&str) -> String) {
    let path = format!("{FOLDER}/{page}");
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let generated = generate(&committed);
    if env::var_os(UPDATE).is_some() {
        fs::write(path, generated).unwrap();
        return;
    }
    let differs = committed.lines().zip(generated.lines()).position(|(committed, generated)| committed != generated);
    let line = differs.unwrap_or_else(|| committed.lines().count().min(generated.lines().count())) + 1;
    assert!(committed == generated, "docs/{page} is out of date from line {line} on: type `cargo xtask docs`");
}

#[test]
fn the_reference_is_what_the_code_says() {
    compare("reference.md", |_| reference());
    compare("metrics.md", metrics);
}
