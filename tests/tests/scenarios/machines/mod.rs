//! Machines as users have them: devices that are not network cards, routes to backends that avoid the node, and
//! settings that keep packets from being forwarded. Real agents and packets. This file has what these scenarios share.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

mod containers;
mod forwarding;
mod ipip;
mod overlays;
mod past;
mod pending;
mod routes;
mod tunnels;
mod uplinks;
mod wireguard;

use std::process::Command;

use harness::{
    lab::{LogLine, Netns},
    scene::Outside,
};
use serde_json::Value;

/// Runs `ip` commands in a namespace.
fn ip(netns: &Netns, commands: &[&str]) {
    netns.batch(&commands.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
}

/// Runs a command in a namespace and returns its output.
fn output(netns: &Netns, command: &str) -> String {
    let mut words = command.split_whitespace();
    let run = || Command::new(words.next().unwrap()).args(words).output().unwrap();
    let output = netns.inside(run).unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The row of a device in `waggle get devices`.
fn device_row(rows: &Value, device: &str) -> Option<Value> {
    rows.as_array().unwrap().iter().find(|row| row["device"] == device).cloned()
}

/// A log line about a device.
fn is_about(device: &str) -> impl Fn(&LogLine) -> bool {
    move |line| line.field("device").is_some_and(|name| name == device)
}
