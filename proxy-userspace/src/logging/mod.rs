//! Keeps the agent's log readable: prints errors with their causes, logs why an agent ends, and limits the number of lines.

pub mod colour;
pub mod errors;
pub mod fatal;
pub(crate) mod limit;
