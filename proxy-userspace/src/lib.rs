//! The agent (`watch → model → topology → plan → apply`), and the commands that read its maps. docs/ARCHITECTURE.md walks
//! through it. docs/semantics.md has the rules that comments and tests cite by number (S24).

mod agent;
pub mod apply;
pub mod attach;
pub mod commands;
pub mod config;
pub mod desired;
mod devices;
pub mod logging;
pub mod maps;
mod model;
pub mod node;
pub mod objects;
mod server;
pub mod sockets;
pub mod succession;
pub mod watch;

#[cfg(fuzzing)]
pub use commands::fuzz;
