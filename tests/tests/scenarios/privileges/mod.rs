//! The agent's privileges, and what it can't do with them: docs/security.md. Real agents with exactly what `deploy/` gives them.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

mod capabilities;
mod filter;
mod frontends;

use std::{fs, path::Path};

use harness::lab::Capability;
use serde_json::Value;

const AGENT: &str = include_str!("../../../../deploy/base/daemonset.yaml");
const CLEANUP: &str = include_str!("../../../../deploy/cleanup/daemonset.yaml");

/// The capabilities that the container at `pointer` of a DaemonSet gets.
fn granted(manifest: &str, pointer: &str) -> Vec<Capability> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(manifest).unwrap();
    let pod = &objects.iter().find(|object| object["kind"] == "DaemonSet").unwrap()["spec"]["template"]["spec"];
    let capabilities = &pod.pointer(pointer).unwrap()["securityContext"]["capabilities"];
    assert_eq!(capabilities["drop"], serde_json::json!(["ALL"]));
    let named = |name: &Value| format!("CAP_{}", name.as_str().unwrap()).parse().unwrap();
    capabilities["add"].as_array().unwrap().iter().map(named).collect()
}

/// The capabilities of the agent in the cluster.
fn of_the_agent() -> Vec<Capability> {
    granted(AGENT, "/containers/0")
}

/// The field of a process's status (proc_pid_status(5)).
fn status(process: u32, field: &str) -> String {
    thread_status(&Path::new("/proc").join(process.to_string()), field)
}

/// The field of a process's or a thread's status, by its folder.
fn thread_status(folder: &Path, field: &str) -> String {
    let status = fs::read_to_string(folder.join("status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(":\t"));
    line.unwrap_or_else(|| panic!("{field} in {status}")).to_owned()
}
