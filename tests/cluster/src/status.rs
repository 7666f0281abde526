//! `cargo xtask cluster status`.

use std::process::ExitCode;

use anyhow::Result;

use crate::{folders::log, kubectl, members::Members, process::Process, programs::Programs};

/// The command. Exit code 1 if anything that was started has ended.
pub fn run() -> Result<ExitCode> {
    let members = Members::read()?;
    println!("{members}\n");
    let processes = Process::all()?;
    let width = processes.iter().map(|process| process.name.len()).max().unwrap_or(0);
    for process in &processes {
        let state = if process.runs() { "runs" } else { "ended" };
        println!("{:width$}  {:>8}  {state:5}  {}", process.name, process.pid, log(&process.name).display());
    }
    println!();
    print!("{}", kubectl::output(&Programs::find()?, &["get", "nodes,pods", "--all-namespaces", "-o", "wide"])?);
    Ok(if processes.iter().all(Process::runs) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
