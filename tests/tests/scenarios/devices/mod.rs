//! Programs on devices: which devices get them, in which mode, and for how long. Real agents and devices. This file
//! has what these scenarios share.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

mod choice;
mod life;
mod lost;
mod refused;

use std::{collections::BTreeMap, process::Command};

use harness::{
    lab::{LogLine, Waggle},
    objects::{Cluster as _, service},
    stage::{PATIENCE, START, Stage, restart, until},
};
use serde_json::{Value, json};

/// Devices and how they are served.
type Modes<'a> = &'a [(&'a str, &'a str)];

/// Devices by name, as `waggle get devices` has them.
type Rows = BTreeMap<String, Value>;

fn rows(stage: &Stage) -> Rows {
    let rows = stage.get("devices");
    rows.as_array().unwrap().iter().map(|row| (text(&row["device"]), row.clone())).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn modes(stage: &Stage) -> BTreeMap<String, String> {
    rows(stage).into_iter().map(|(name, row)| (name, text(&row["mode"]))).collect()
}

/// Waits until exactly these devices are served in these modes.
fn expect(stage: &Stage, wanted: Modes) {
    let wanted: BTreeMap<_, _> = wanted.iter().map(|(name, mode)| ((*name).to_owned(), (*mode).to_owned())).collect();
    until(&format!("{wanted:?}, but {:?}", modes(stage)), || modes(stage) == wanted);
}

/// A program's id and its link's, by hook.
fn programs(row: &Value) -> BTreeMap<String, (Value, Value)> {
    let programs = row["programs"].as_array().unwrap().iter();
    programs.map(|cell| (text(&cell["hook"]), (cell["program"].clone(), cell["link"].clone()))).collect()
}

fn flags(stage: &Stage) -> BTreeMap<u64, u64> {
    let entries = stage.dump("devices").into_iter().map(|entry| entry["formatted"].clone());
    entries.map(|entry| (entry["key"].as_u64().unwrap(), entry["value"]["flags"].as_u64().unwrap())).collect()
}

/// Runs `ip` commands on the node.
fn ip(stage: &Stage, commands: &[&str]) {
    let commands: Vec<String> = commands.iter().map(|command| (*command).to_owned()).collect();
    stage.node.netns().batch(&commands).unwrap();
}

/// The output of a command on the node.
fn output(stage: &Stage, command: &str) -> String {
    let mut words = command.split_whitespace();
    let run = || Command::new(words.next().unwrap()).args(words).output().unwrap();
    let output = stage.node.netns().inside(run).unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The programs on the node's devices, by the kernel.
fn attached(stage: &Stage) -> Value {
    serde_json::from_str::<Value>(&output(stage, "bpftool --json net")).unwrap()[0].clone()
}

fn is_about(device: &str) -> impl Fn(&LogLine) -> bool {
    move |line| line.field("device").is_some_and(|name| name == device)
}

/// Starts an agent with other arguments on the instance, after the earlier one was killed.
fn other(stage: &Stage, arguments: &[&str]) -> Waggle {
    let waggle = stage.command(arguments).start_unready().unwrap();
    waggle.wait_log(START, |line| line.message() == "serving").unwrap();
    waggle
}
