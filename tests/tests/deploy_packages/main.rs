//! The chart in `deploy/chart` and the kustomizations of `deploy/` have the same content, each value of the chart changes what
//! it says, and Kubernetes knows every field. Needs no cluster, but Helm and kustomize, which `cargo xtask test` builds where
//! Go is installed.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

mod changes;
mod chart;
mod kinds;
mod network_policy;
mod notes;
mod overlay;
mod render;
mod same;
mod values;
