//! The agent: `watch → model → topology → plan → apply`, and the commands that look at its maps.

pub mod addr;
pub mod model;
pub mod notice;
pub mod objects;
pub mod plan;
pub mod sorted;
pub mod table;
pub mod topology;
pub mod watch;
