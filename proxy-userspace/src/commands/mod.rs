//! What `waggle` can be told to do, a file for each command, and the command line that tells it; for fuzzers, all that reads
//! foreign input.

mod begin;
pub mod cleanup;
pub mod cli;
pub mod config_file;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod get;
mod growth;
pub mod kube_proxy;
pub mod ready;
pub mod run;
