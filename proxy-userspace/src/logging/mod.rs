//! Keeps the agent's log readable: prints errors with their causes, logs why an agent ends, limits the number of lines, and keeps
//! the last warnings for the agent's status.

pub mod colour;
pub mod errors;
pub mod fatal;
pub(crate) mod limit;
pub mod recent;
