//! Maps that become larger under a running agent: nothing is lost, what changes meanwhile is in force afterwards, and an agent may
//! die at any moment of it.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use aya::maps::MapInfo;
use harness::{
    lab::{LogLine, START},
    objects::{service, slice},
    scene::{Outside, until},
};
use proxy_userspace::maps::PinFolder;

use super::{Starts, go_on, program, under_load};

fn address(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 96, 16 + high, low)
}

/// So many Services with one address each, all with the backend `p1`, in one file.
fn put_services(outside: &Outside, count: u16) {
    let mut text = String::new();
    for number in 0..count {
        let name = format!("many-{number}");
        let at = address(number).to_string();
        let objects = [
            service(&name).cluster_ip(&at).port(80, 8080).build(),
            slice(&name).port(8080).pod(outside.scene.pod(1)).build(),
        ];
        for object in objects {
            writeln!(text, "---\n{object}").unwrap();
        }
    }
    outside.scene.folder().write("many.yaml", &text);
}

fn is_served(outside: &Outside, number: u16) -> bool {
    let to = SocketAddr::new(address(number).into(), 80);
    outside.scene.from_pod.tcp(to).is_ok_and(|reply| reply.backend() == "p1")
}

/// Waits until so many Services are in force. Dialling one that is not would be counted as a drop.
fn wait_services(starts: &Starts<'_>, mark: usize, count: u16) {
    let has_all = |line: &LogLine| {
        line.message() == "programmed"
            && line.field("services").and_then(serde_json::Value::as_u64).is_some_and(|services| services > count.into())
    };
    starts.log.wait(mark, START, has_all).unwrap();
    let dialled = [0, count / 2, count - 1];
    assert!(dialled.into_iter().all(|number| is_served(starts.outside, number)), "{dialled:?}");
}

fn entries(outside: &Outside, map: &str) -> u32 {
    let pin = PinFolder::new(&outside.scene.node.instance()).map(map);
    MapInfo::from_pin(pin).unwrap().max_entries()
}

fn has_grown(map: &'static str) -> impl Fn(&LogLine) -> bool {
    move |line| line.message() == "grown" && line.field("map").is_some_and(|name| name == map)
}

/// Starts an agent whose maps begin small.
fn start(starts: &mut Starts<'_>, source: &[&str]) -> usize {
    let mark = starts.start_growing(&program::built(), source, &[]);
    starts.wait(mark, "\"serving\"");
    mark
}

#[test]
fn maps_grow_while_an_agent_runs_and_nothing_is_lost() {
    under_load(&["tc", "xdp"], "growth", |starts, source, tally| {
        let outside = starts.outside;
        let mark = start(starts, source);
        assert_eq!(entries(outside, "SERVICES"), 4096);
        for (count, size) in [(1800, 8192), (6000, 32_768)] {
            let before = starts.log.mark();
            put_services(outside, count);
            let line = starts.log.wait(before, START, has_grown("SERVICES")).unwrap();
            println!("{}", line.text);
            starts.log.wait(before, START, |line| line.text.contains("maps of before are removed")).unwrap();
            assert_eq!(entries(outside, "SERVICES"), size);
            wait_services(starts, before, count);
            go_on(tally);
        }
        assert!(starts.log.since(mark).iter().all(|line| !line.text.contains("ERROR")), "nothing is refused for long");
        // Another agent keeps the sizes.
        start(starts, source);
        assert_eq!(entries(outside, "SERVICES"), 32_768);
        go_on(tally);
    });
}

#[test]
fn an_agent_may_die_at_any_moment_of_a_growth() {
    under_load(&["tc", "xdp"], "dies", |starts, source, tally| {
        let outside = starts.outside;
        let lines = [
            "programs loaded",
            "a larger set is prepared",
            "new programs and maps are complete",
            "new flows are opened by the new programs",
            "the new programs know all flows",
        ];
        for (count, line) in (1_u16..).map(|round| 1000 << round).zip(lines) {
            start(starts, source);
            let before = starts.log.mark();
            put_services(outside, count);
            starts.log.wait(before, START, |seen| seen.text.contains(line)).unwrap();
            starts.kill();
            go_on(tally);
            let mark = start(starts, source);
            wait_services(starts, mark, count);
            starts.kill();
        }
    });
}

#[test]
fn what_changes_during_a_growth_is_in_force_after_it() {
    under_load(&["tc"], "meanwhile", |starts, source, tally| {
        let outside = starts.outside;
        start(starts, source);
        let pods = [(outside.scene.pod(1), "p1"), (outside.scene.pod(2), "p2")];
        let change = |pod| outside.scene.put(&slice("changing").port(8080).pod(pod).build());
        let answers = |name| outside.scene.from_pod.tcp("10.96.0.77:80").is_ok_and(|reply| reply.backend() == name);
        let mark = starts.log.mark();
        change(pods[1].0);
        outside.scene.put(&service("changing").cluster_ip("10.96.0.77").port(80, 8080).build());
        starts.log.wait(mark, START, |line| line.message() == "programmed").unwrap();
        until("the Service", || answers("p2"));
        let before = starts.log.mark();
        put_services(outside, 2000);
        let is_seen = |text: &str| starts.log.since(before).iter().any(|line| line.text.contains(text));
        until("all Services are read", || is_seen("\"programmed\""));
        let (mut rounds, mut slowest) = (0, Duration::ZERO);
        while !is_seen("maps of before are removed") {
            let (pod, name) = pods[rounds % 2];
            let started = Instant::now();
            change(pod);
            until("the change", || answers(name));
            (rounds, slowest) = (rounds + 1, slowest.max(started.elapsed()));
        }
        println!("{rounds} changes during a growth, the slowest was in force after {slowest:?}");
        assert!(rounds > 1);
        go_on(tally);
    });
}
