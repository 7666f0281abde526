//! The agent: `watch → model → topology → plan → apply`, and the commands that look at its maps.

pub mod addr;
pub mod addresses;
pub mod apply;
pub mod attach;
pub mod bpf;
pub mod cleanup;
pub mod config;
pub mod inspect;
pub mod loader;
pub mod maps;
pub mod model;
pub mod notice;
pub mod objects;
pub mod plan;
pub mod table;
pub mod termination;
pub mod topology;
pub mod watch;
