//! `cargo xtask docs`: writes docs/reference.md and the tables of docs/metrics.md from the code, and makes the book of all pages,
//! if mdbook is there.

mod book;
mod html;
mod mdbook;

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    cargo, command,
    setup::{self, Purpose},
};

/// The test that compares these pages with the code, and the variable that makes it write them instead.
const REFERENCE: (&str, &str) = ("the_reference_is_what_the_code_says", "WAGGLE_UPDATE_REFERENCE");

/// Runs the command. With `only_book`, writes no page of the repository, and installs mdbook if it is missing.
pub(crate) fn command(only_book: bool) -> Result<ExitCode> {
    if !only_book {
        setup::ensure(&[Purpose::Build])?;
        write_reference()?;
    }
    let mdbook = if only_book { Some(mdbook::ensure()?) } else { mdbook::find() };
    match mdbook {
        Some(mdbook) => println!("the book: {}", book::build(&mdbook)?.display()),
        None => println!("no book: mdbook is missing; `cargo xtask docs --book` compiles it"),
    }
    Ok(ExitCode::SUCCESS)
}

fn write_reference() -> Result<()> {
    let (test, variable) = REFERENCE;
    let mut command = cargo::workspace("test");
    command.args(["--quiet", "--lib", "--", test]).env(variable, "1");
    command::run(&mut command)
}
