//! The commands of `waggle`, the command line, and the bodies of the fuzz targets.

mod age;
pub mod capture;
pub mod check;
pub mod cleanup;
pub mod cli;
pub mod config_file;
pub mod explain;
mod fetch;
mod fetch_labels;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod get;
mod growth;
pub mod kube_proxy;
pub mod monitor;
mod page;
pub mod ready;
#[cfg(test)]
mod reference;
pub mod run;
mod service_filter;
pub mod show;
mod startup;
pub mod status;
mod tolerance;
pub mod top;
pub mod validate;
