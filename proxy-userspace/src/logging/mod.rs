//! How the agent's log stays readable: errors with their causes, and few lines about many objects.

pub mod errors;
pub mod limit;
