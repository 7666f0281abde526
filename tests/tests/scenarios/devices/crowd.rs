//! More devices than the agent has room for.

use super::*;
use crate::health::{METRICS, page};

/// As many as DEVICES has room for, and some.
const ROOM: usize = proxy_common::sizes::DEVICES_MAX;
const MORE: usize = 5;

/// How many devices should be served and are not, by the metric.
fn unserved(scene: &Scene) -> Option<usize> {
    let (_, page) = page(scene, "127.0.0.1", METRICS, "/metrics").ok()?;
    let value = page.lines().find_map(|line| line.strip_prefix("waggle_hooks_missing "))?;
    value.strip_suffix(".0").unwrap_or(value).parse().ok()
}

#[test]
fn devices_without_room_are_said_and_all_others_are_served() {
    let scene = Setup::new("dev-crowd").build();
    let names = |numbers: std::ops::Range<usize>| numbers.map(|number| format!("d{number}"));
    let add: Vec<_> = names(0..ROOM + MORE).map(|name| format!("link add {name} type bridge")).collect();
    scene.node.netns().batch(&add).unwrap();
    let waggle = scene.agent(&["--device-mode", "tc", "--devices", "d*"]);
    let is_refused = |line: &LogLine| line.message().starts_with("device not served");
    let line = waggle.wait_log(START, is_refused).unwrap();
    let reason = line.field("reason").and_then(Value::as_str).unwrap();
    assert!(reason.contains("DEVICES, which has room for 1024") && reason.contains("--devices"), "{reason}");
    until("the others are served", || unserved(&scene) == Some(MORE) && modes(&scene).len() == ROOM);
    assert_eq!(waggle.log().since(0).iter().filter(|line| is_refused(line)).count(), MORE, "once each");
    // Room is used as soon as there is some.
    let gone: Vec<_> = names(0..MORE).map(|name| format!("link del {name}")).collect();
    scene.node.netns().batch(&gone).unwrap();
    until("all are served", || unserved(&scene) == Some(0) && modes(&scene).len() == ROOM);
}
