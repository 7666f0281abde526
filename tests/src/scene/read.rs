//! Reads what a scene's instance shows: `waggle get`, dumps of its pinned maps, and lines of its log.

use std::process::{Command, Output};

use serde_json::Value;

use super::Scene;
use crate::lab::{BPFFS, LogLine, find_program};

impl Scene {
    /// Runs `waggle` with these arguments and the node's instance. Returns whether it succeeded, and all its output.
    pub fn cli(&self, arguments: &[&str]) -> (bool, String) {
        let program = find_program("waggle", "WAGGLE_BIN").expect("find waggle");
        let output = Command::new(program).args(arguments).args(["--instance", &self.node.instance()]).output();
        let Output { status, stdout, stderr } = output.expect("run waggle");
        (status.success(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
    }

    /// `waggle get WHAT` as JSON.
    pub fn get(&self, what: &str) -> Value {
        let (success, text) = self.cli(&["get", what, "-o", "json"]);
        assert!(success, "{text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The entries of a pinned map, as `bpftool map dump` prints them in JSON.
    pub fn dump(&self, map: &str) -> Vec<Value> {
        let pin = format!("{BPFFS}/{}/{map}", self.node.instance());
        let output = Command::new("bpftool").args(["-j", "map", "dump", "pinned", &pin]).output();
        let output = output.expect("run bpftool");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "dump {pin}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
    /// How many sockets have an entry in SOCKET_CONNECTIONS.
    pub fn socket_connections(&self) -> usize {
        let sets = self.dump("socket_connections");
        let cookies = sets.iter().filter_map(|set| set["formatted"]["value"]["cookies"].as_array()).flatten();
        cookies.filter(|cookie| **cookie != 0).count()
    }
}

/// Whether a log line is about this device.
pub fn is_about(device: &str) -> impl Fn(&LogLine) -> bool {
    move |line| line.field("device").is_some_and(|name| name == device)
}
