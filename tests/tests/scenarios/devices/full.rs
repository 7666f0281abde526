//! More devices than the map DEVICES has room for. `devices/serve/tests.rs` of the agent has the cases; this shows one of them with
//! the kernel's map and devices.

use proxy_common::sizes::DEVICES_MAX;

use super::*;

/// How many devices find no room.
const BEYOND: usize = 5;

#[test]
#[ignore = "a thousand devices hold the kernel's lock of devices for half a minute, which disturbs other tests: run it alone, by \
            cargo test -p tests --test scenarios -- --ignored s19_devices_beyond"]
fn s19_devices_beyond_the_room_of_the_map_are_named_and_all_others_are_served() {
    let scene = Setup::new("dev-full").build();
    // With eth0 these are as many as the map has room for, and BEYOND more.
    let pairs = (DEVICES_MAX + BEYOND - 1) / 2;
    let add: Vec<_> = (1..=pairs).map(|number| format!("link add w{number} type veth peer name v{number}")).collect();
    scene.node.netns().batch(&add).unwrap();
    let waggle = scene.agent(&["--devices", "eth0,w*,v*", "--device-mode", "tc"]);
    let unserved = || {
        let lines = waggle.log().since(0).into_iter().filter(|line| line.message().starts_with("device not served"));
        let named = lines.map(|line| (text(line.field("device").unwrap()), text(line.field("reason").unwrap())));
        // Devices that go while they are served are named for another reason.
        named.filter(|(_, reason)| reason.contains("room")).collect::<Vec<_>>()
    };
    until("all that have room", || rows(&scene).len() == DEVICES_MAX && flags(&scene).len() == DEVICES_MAX);
    let first = unserved();
    assert_eq!(first.len(), BEYOND, "{first:?}");
    for (device, reason) in &first {
        assert!(reason.contains("it has room for 1024 (name fewer with --devices"), "{device}: {reason}");
        assert!(!rows(&scene).contains_key(device), "{device}");
    }
    // The room of the devices that go is given to those that have waited.
    let pairs_gone = BEYOND.div_ceil(2);
    let remove: Vec<_> = (1..=pairs_gone).map(|number| format!("link del w{number}")).collect();
    scene.node.netns().batch(&remove).unwrap();
    let left = 1 + 2 * (pairs - pairs_gone);
    until("all that are left", || rows(&scene).len() == left && flags(&scene).len() == left);
    assert!(first.iter().all(|(device, _)| rows(&scene).contains_key(device)), "{first:?}");
    assert_eq!(unserved(), first, "once each");
}
