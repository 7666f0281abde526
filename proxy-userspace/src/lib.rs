//! The agent: `watch → model → topology → plan → apply`, and the commands that look at its maps.

pub mod addr;
pub mod addresses;
pub mod agent;
pub mod apply;
pub mod attach;
pub mod bpf;
pub mod cleanup;
pub mod cli;
pub mod config;
pub mod inspect;
pub mod loader;
pub mod machine;
pub mod maps;
pub mod model;
pub mod notice;
pub mod objects;
pub mod plan;
pub mod privileges;
pub mod run;
pub mod sorted;
pub mod stale_sockets;
pub mod table;
pub mod termination;
pub mod topology;
pub mod watch;
