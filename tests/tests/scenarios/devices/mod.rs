//! Programs on devices: which devices get them, in which mode, and for how long. Real agents and devices. This file
//! has what these scenarios share.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

mod choice;
mod full;
mod life;
mod lost;
mod refused;

use std::collections::BTreeMap;

use harness::{
    lab::{LogLine, START, Waggle},
    objects::service,
    scene::{self, Scene, Setup, WAIT_LIMIT, is_about, until},
};
use serde_json::{Value, json};

/// Devices and how they are served.
type Modes<'a> = &'a [(&'a str, &'a str)];

/// Devices by name, as `waggle get devices` has them.
type Rows = BTreeMap<String, Value>;

fn rows(scene: &Scene) -> Rows {
    let rows = scene.get("devices");
    rows.as_array().unwrap().iter().map(|row| (text(&row["device"]), row.clone())).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn modes(scene: &Scene) -> BTreeMap<String, String> {
    rows(scene).into_iter().map(|(name, row)| (name, text(&row["mode"]))).collect()
}

/// Waits until exactly these devices are served in these modes.
fn expect(scene: &Scene, wanted: Modes) {
    let wanted: BTreeMap<_, _> = wanted.iter().map(|(name, mode)| ((*name).to_owned(), (*mode).to_owned())).collect();
    until(&format!("{wanted:?}, but {:?}", modes(scene)), || modes(scene) == wanted);
}

/// A program's id and its link's, by hook.
fn programs(row: &Value) -> BTreeMap<String, (Value, Value)> {
    let programs = row["programs"].as_array().unwrap().iter();
    programs.map(|cell| (text(&cell["hook"]), (cell["program"].clone(), cell["link"].clone()))).collect()
}

fn flags(scene: &Scene) -> BTreeMap<u64, u64> {
    let entries = scene.dump("devices").into_iter().map(|entry| entry["formatted"].clone());
    entries.map(|entry| (entry["key"].as_u64().unwrap(), entry["value"]["flags"].as_u64().unwrap())).collect()
}

/// Runs `ip` commands on the node.
fn ip(scene: &Scene, commands: &[&str]) {
    scene::ip(scene.node.netns(), commands);
}

/// The output of a command on the node.
fn output(scene: &Scene, command: &str) -> String {
    scene::output(scene.node.netns(), command)
}

/// The programs on the node's devices, by the kernel.
fn attached(scene: &Scene) -> Value {
    serde_json::from_str::<Value>(&output(scene, "bpftool --json net")).unwrap()[0].clone()
}
