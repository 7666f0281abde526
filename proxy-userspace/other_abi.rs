//! The agent with another ABI: the same program, whose maps an agent of this release must not take for its own.

#[path = "src/main.rs"]
mod agent;

use std::process::ExitCode;

fn main() -> ExitCode {
    agent::main()
}
