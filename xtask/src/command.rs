//! Runs programs and shows what it runs. The only place that starts processes.

use std::{
    convert::Infallible,
    ffi::OsStr,
    os::unix::process::CommandExt as _,
    process::{Command, Output},
};

use anyhow::{Context as _, Result, bail};

/// `command` as a person would type it, with the environment variables that were set for it.
pub(crate) fn shown(command: &Command) -> String {
    let variables =
        command.get_envs().filter_map(|(key, value)| Some(format!("{}={}", key.to_string_lossy(), quoted(value?))));
    let program = command.get_program();
    // Programs are started by absolute path where `PATH` may lack them; the name says as much.
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

/// Runs to the end with this process's output; an exit code other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    announce(command);
    let status = command.status().with_context(|| format!("start `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", shown(command));
    }
    Ok(())
}

/// Runs silently to the end and gives what it printed, whatever its exit code.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    command.output().with_context(|| format!("start `{}`", shown(command)))
}

/// Whether the program can be started and ends with exit code 0; prints nothing.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// Becomes the program, which then gets the signals and gives the exit code.
pub(crate) fn exec(command: &mut Command) -> Result<Infallible> {
    announce(command);
    exec_silently(command)
}

/// Becomes the program without showing the command line.
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
