//! The agent with another ABI version, for tests: the same program, whose maps an agent of this release must not use.

#[path = "src/main.rs"]
mod agent;

use std::process::ExitCode;

fn main() -> ExitCode {
    agent::main()
}
