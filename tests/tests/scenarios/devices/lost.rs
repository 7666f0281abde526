//! Devices that lose their programs: to other tools, or to a set of programs that has none for them.

use std::{path::Path, time::Duration};

use harness::lab::eventually;
use proxy_userspace::{attach, maps::PinFolder};

use super::*;
use crate::health::page;

const DEVICES: [&str; 3] = ["eth0", "one", "two"];

/// An agent that serves three devices by XDP.
fn three(name: &str, mode: &str) -> (Scene, Waggle) {
    let scene = Setup::new(name).build();
    ip(&scene, &["link add one type veth peer name eno", "address add 198.51.100.1/24 dev one"]);
    ip(&scene, &["link add two type veth peer name owt", "address add 198.51.101.1/24 dev two"]);
    let waggle = scene.agent(&["--device-mode", mode]);
    expect(&scene, &DEVICES.map(|device| (device, mode)));
    (scene, waggle)
}

/// The XDP link of a device; `None` while it has none.
fn xdp_link(scene: &Scene, device: &str) -> Option<String> {
    rows(scene).get(device).map(programs)?.get("xdp_generic").map(|(_, link)| link.to_string())
}

fn by_xdp(scene: &Scene) -> usize {
    attached(scene)["xdp"].as_array().unwrap().len()
}

#[test]
fn devices_that_lose_xdp_one_after_another_are_served_again() {
    let (scene, waggle) = three("dev-lost", "xdp-generic");
    let before = DEVICES.map(|device| xdp_link(&scene, device).unwrap());
    let detach = |link: &str| output(&scene, &format!("bpftool link detach id {link}"));
    detach(&before[0]);
    detach(&before[1]);
    assert_eq!(by_xdp(&scene), 1);
    // The change of the first device makes the agent look at once. At the same time the third device loses its program.
    ip(&scene, &["link set eth0 mtu 1400"]);
    let row = rows(&scene)["two"].clone();
    std::fs::remove_file(waggle.pins().join(format!("links/xdp_generic-{}-two", row["index"]))).unwrap();
    until("three devices with new links", || {
        let now = DEVICES.map(|device| xdp_link(&scene, device));
        by_xdp(&scene) == 3
            && now.iter().zip(&before).all(|(now, before)| now.as_ref().is_some_and(|now| now != before))
    });
    expect(&scene, &DEVICES.map(|device| (device, "xdp-generic")));
    for device in DEVICES {
        let lines: Vec<_> = waggle.log().since(0).into_iter().filter(is_about(device)).collect();
        let lost = lines.iter().filter(|line| line.message().contains("has lost a program")).count();
        assert_eq!(lost, 1, "{lines:#?}");
    }
}

/// The state after the kernel has refused XDP to the set that an earlier start has completed.
#[test]
fn s31_no_device_sends_by_xdp_to_one_that_has_lost_it() {
    let (scene, mut waggle) = three("dev-none", "xdp");
    assert!(flags(&scene).values().all(|flags| flags & 1 == 1), "others may redirect to them");
    waggle.kill().unwrap();
    let folder = PinFolder::new(&scene.node.instance());
    scene.node.netns().inside(|| attach::renew(&folder, &folder.next(), Path::new("/nowhere"))).unwrap().unwrap();
    assert_eq!(by_xdp(&scene), 0);
    let flags = flags(&scene);
    assert!(flags.len() == 3 && flags.values().all(|flags| flags & 1 == 0), "{flags:?}");
    waggle.restart().unwrap();
    expect(&scene, &DEVICES.map(|device| (device, "xdp")));
}

#[test]
fn s32_a_node_with_a_device_that_stays_without_its_programs_is_unhealthy() {
    let scene = Setup::new("dev-ill").build();
    let _waggle = scene.agent(&["--device-mode", "xdp"]);
    let health = || page(&scene, "127.0.0.1", 10_256, "/healthz").unwrap_or_default();
    until("healthy", || health().0 == 200);
    let id = programs(&rows(&scene)["eth0"])["xdp"].0.clone();
    ip(&scene, &["link add busy type veth peer name ysub"]);
    output(&scene, &format!("bpftool net attach xdp id {id} dev busy"));
    ip(&scene, &["address add 198.51.100.1/24 dev busy"]);
    // A minute, and time to see it.
    assert!(eventually(Duration::from_secs(90), || health().0 == 503), "{:?}", health());
    let (_, body) = health();
    assert!(body.contains("device busy has not been served for 6") && body.contains("dev busy xdp off"), "{body}");
    assert!(!body.contains("eth0"), "{body}");
    output(&scene, "ip link set dev busy xdp off");
    until("healthy again", || health().0 == 200);
    expect(&scene, &[("busy", "xdp"), ("eth0", "xdp")]);
}
