//! How the agent's log stays readable: errors with their causes, the last lines of an agent, and few lines about many objects.

pub mod errors;
pub mod fatal;
pub(crate) mod limit;
