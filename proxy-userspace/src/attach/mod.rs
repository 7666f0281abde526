//! Attaching the programs to their hooks, and replacing those of an earlier agent.

pub mod cgroup;
mod program;
