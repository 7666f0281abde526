//! More devices than the agent has room for.

use aya::maps::{HashMap, MapData};
use proxy_common::{Device, sizes::DEVICES_MAX};

use super::*;
use crate::health::{METRICS, page};

/// How many devices find no room at first.
const MORE: usize = 3;

/// How many devices should be served and are not, by the metric.
fn unserved(scene: &Scene) -> Option<usize> {
    let (_, page) = page(scene, "127.0.0.1", METRICS, "/metrics").ok()?;
    let value = page.lines().find_map(|line| line.strip_prefix("waggle_hooks_missing "))?;
    value.strip_suffix(".0").unwrap_or(value).parse().ok()
}

/// Devices that there are not take nearly all the room: a thousand real ones would hold the kernel's lock of devices for a minute,
/// also when their namespace goes, and everything else on the machine with it.
#[test]
fn devices_without_room_are_said_and_all_others_are_served() {
    let scene = Setup::new("dev-crowd").build();
    let waggle = scene.agent(&["--device-mode", "tc", "--devices", "d*"]);
    let mut devices: HashMap<MapData, u32, Device> =
        aya::maps::Map::HashMap(MapData::from_pin(waggle.pins().join("devices")).unwrap()).try_into().unwrap();
    let known = devices.keys().count();
    let absent: Vec<u32> = (1_000_000..).take(DEVICES_MAX - known - 2).collect();
    for index in &absent {
        devices.insert(index, Device { flags: 0 }, 0).unwrap();
    }
    let add: Vec<_> = (0..2 + MORE).map(|number| format!("link add d{number} type bridge")).collect();
    scene.node.netns().batch(&add).unwrap();
    let is_refused = |line: &LogLine| line.message().starts_with("device not served");
    let line = waggle.wait_log(START, is_refused).unwrap();
    let reason = line.field("reason").and_then(Value::as_str).unwrap();
    assert!(reason.contains("DEVICES, which has room for 1024") && reason.contains("--devices"), "{reason}");
    until("the others are served", || unserved(&scene) == Some(MORE) && modes(&scene).len() == 2);
    assert_eq!(waggle.log().since(0).iter().filter(|line| is_refused(line)).count(), MORE, "once each");
    // Room is used as soon as there is some.
    for index in &absent[..MORE] {
        devices.remove(index).unwrap();
    }
    until("all are served", || unserved(&scene) == Some(0) && modes(&scene).len() == 2 + MORE);
}
