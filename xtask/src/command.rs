//! Runs programs and prints their command lines.

use std::{
    convert::Infallible,
    ffi::OsStr,
    os::unix::process::CommandExt as _,
    process::{Command, Output},
};

use anyhow::{Context as _, Result, bail};

/// Formats `command` as it would be typed, with the environment variables that were set for it.
pub(crate) fn shown(command: &Command) -> String {
    let variables =
        command.get_envs().filter_map(|(key, value)| Some(format!("{}={}", key.to_string_lossy(), quoted(value?))));
    let program = command.get_program();
    // Programs that `PATH` may lack are started by absolute path; the name is enough to show.
    let name = std::path::Path::new(program).file_name().unwrap_or(program);
    let words = std::iter::once(quoted(name)).chain(command.get_args().map(quoted));
    variables.chain(words).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Prints the command line.
pub(crate) fn announce(command: &Command) {
    println!("$ {}", shown(command));
}

/// Prints and runs a command, with this process's output. An exit code other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    announce(command);
    let status = command.status().with_context(|| format!("start `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", shown(command));
    }
    Ok(())
}

/// Runs a command silently and returns its output, whatever its exit code.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    command.output().with_context(|| format!("start `{}`", shown(command)))
}

/// Runs a command silently. True if it can be started and ends with exit code 0.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// Prints the command line and becomes the program, which then gets the signals and determines the exit code.
pub(crate) fn exec(command: &mut Command) -> Result<Infallible> {
    announce(command);
    exec_silently(command)
}

/// Becomes the program without printing the command line.
pub(crate) fn exec_silently(command: &mut Command) -> Result<Infallible> {
    let error = command.exec();
    Err(error).with_context(|| format!("start `{}`", shown(command)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_typed() {
        let mut command = Command::new("/opt/bin/cargo");
        command.env("A", "x y").args(["build", "--features", "", "it's"]);
        assert_eq!(shown(&command), r"A='x y' cargo build --features '' 'it'\''s'");
    }
}
