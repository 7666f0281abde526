//! Machines as users have them: devices that are not network cards, routes to backends that avoid the node, and
//! settings that keep packets from being forwarded. Real agents and packets. This file has what these scenarios share.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

mod bypass;
mod check;
mod containers;
mod forwarding;
mod ipip;
mod overlays;

mod pending;
mod routes;
mod tunnels;
mod uplinks;
mod wireguard;

use harness::{
    lab::{LogLine, Netns},
    scene::{Outside, ip, is_about, output},
};
use serde_json::Value;

/// The row of a device in `waggle get devices`.
fn device_row(rows: &Value, device: &str) -> Option<Value> {
    rows.as_array().unwrap().iter().find(|row| row["device"] == device).cloned()
}
