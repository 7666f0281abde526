//! `cargo xtask docs`: writes docs/reference.md and the tables of docs/metrics.md from the code, and makes the book of all pages,
//! if mdbook is installed.

mod book;
mod html;

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    cargo, command,
    setup::{self, Purpose},
};

/// The test that compares these pages with the code, and the variable that makes it write them instead.
const REFERENCE: (&str, &str) = ("the_reference_is_what_the_code_says", "WAGGLE_UPDATE_REFERENCE");

/// Runs the command. With `only_book`, writes no page of the repository, and fails if mdbook is not installed.
pub(crate) fn command(only_book: bool) -> Result<ExitCode> {
    if !only_book {
        setup::ensure(&[Purpose::Build])?;
        write_reference()?;
    }
    match book::build()? {
        Some(index) => println!("the book: {}", index.display()),
        None if only_book => {
            println!("{}", book::MISSING);
            return Ok(ExitCode::FAILURE);
        }
        None => println!("no book: {}", book::MISSING),
    }
    Ok(ExitCode::SUCCESS)
}

fn write_reference() -> Result<()> {
    let (test, variable) = REFERENCE;
    let mut command = cargo::workspace("test");
    command.args(["--quiet", "--lib", "--", test]).env(variable, "1");
    command::run(&mut command)
}
