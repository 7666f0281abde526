//! A routing table as large as the Internet's.

use std::{fmt::Write as _, fs};

use harness::scene::{Scene, Setup, until};

use super::*;

/// About half of the routes of an Internet router.
const ROUTES: u32 = 500_000;
const VETHS: u32 = 50;
/// The most memory that the agent may use, MiB.
const MEMORY: u64 = 64;

/// The memory in MiB of a process, and its processor time in the kernel's ticks, 100 a second.
fn used(process: u32) -> (u64, u64) {
    let read = |file: &str| fs::read_to_string(format!("/proc/{process}/{file}")).unwrap();
    let (status, stat) = (read("status"), read("stat"));
    let number = |text: &str| text.split_whitespace().next().unwrap().parse::<u64>().unwrap();
    let memory = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    let times: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (number(memory) / 1024, number(times[11]) + number(times[12]))
}

/// Adds and removes pairs of devices, one by one; the last one should be served. Returns the agent's processor time in
/// ticks.
fn churn(scene: &Scene, agent: u32) -> u64 {
    let before = used(agent).1;
    for number in 0..VETHS {
        ip(scene.node.netns(), &[&format!("link add churn{number} type veth peer name nruhc{number}")]);
    }
    ip(scene.node.netns(), &[&format!("address add 198.51.100.1/24 dev churn{}", VETHS - 1)]);
    let served = || device_row(&scene.get("devices"), &format!("churn{}", VETHS - 1)).is_some();
    until("the last device is served", served);
    for number in 0..VETHS {
        ip(scene.node.netns(), &[&format!("link del churn{number}")]);
    }
    until("the last device has gone", || !served());
    used(agent).1 - before
}

#[test]
fn field_s06_a_full_bgp_table_costs_the_agent_nothing() {
    let scene = Setup::new("bgp").build();
    let mut waggle = scene.agent(&["--devices", "auto"]);
    let agent = waggle.process().id();
    let cheap = churn(&scene, agent);
    let mut commands = String::new();
    for number in 0..ROUTES {
        let [_, a, b, c] = number.to_be_bytes();
        writeln!(commands, "route add {}.{b}.{c}.0/24 via 192.168.50.254 dev eth0", 20 + a).unwrap();
    }
    scene.node.netns().batch(&[commands]).unwrap();
    let (memory, _) = used(agent);
    println!("{memory} MiB after {ROUTES} routes");
    assert!(memory < MEMORY, "{memory} MiB");
    // If messages were lost among so many, the agent looks for routes once.
    churn(&scene, agent);
    let dear = churn(&scene, agent);
    println!("{VETHS} veths: {cheap} ticks without routes, {dear} with {ROUTES}");
    // At most twice as much, plus what the clock can't resolve.
    assert!(dear <= 2 * cheap + 20, "{dear} ticks instead of {cheap}");
    // A default route is still noticed.
    ip(scene.node.netns(), &["link add late type veth peer name etal", "link set late up", "link set etal up"]);
    ip(scene.node.netns(), &["route add default dev late metric 5000"]);
    until("a new default route", || device_row(&scene.get("devices"), "late").is_some());
    ip(scene.node.netns(), &["route del default dev late metric 5000"]);
    waggle.kill().unwrap();
    waggle.restart().unwrap();
    let (memory, _) = used(waggle.process().id());
    println!("{memory} MiB after a restart");
    assert!(memory < MEMORY, "{memory} MiB");
}
