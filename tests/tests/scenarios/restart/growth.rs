//! Maps that become larger under a running agent: nothing is lost, changes during a growth are in force afterwards, and an agent
//! may die at any moment of it.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr},
};

use aya::maps::MapInfo;
use harness::{
    agents::{self, Starts},
    lab::{LogLine, START, eventually},
    objects::{service, slice},
    scene::Outside,
};
use proxy_userspace::maps::PinFolder;

use super::{under_load, wait_for_answers};

fn address(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 96, 16 + high, low)
}

/// Puts `count` Services with one address each, all with the backend `p1`, in one file.
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

/// Waits until `count` Services are in force. Dialling one that is not would be counted as a drop.
fn wait_services(starts: &Starts<'_>, mark: usize, count: u16) {
    let has_all = |line: &LogLine| {
        line.message() == "programmed"
            && line
                .field("services")
                .and_then(serde_json::Value::as_u64)
                .is_some_and(|services| services > count.into())
    };
    starts.log.wait(mark, START, has_all).unwrap();
    let dialled = [0, count / 2, count - 1];
    assert!(dialled.into_iter().all(|number| is_served(starts.outside, number)), "{dialled:?}");
}

fn pinned(outside: &Outside, map: &str) -> MapInfo {
    MapInfo::from_pin(PinFolder::new(&outside.scene.node.instance()).map(map)).unwrap()
}

fn entries(outside: &Outside, map: &str) -> u32 {
    pinned(outside, map).max_entries()
}

fn has_grown(map: &'static str) -> impl Fn(&LogLine) -> bool {
    move |line| line.message() == "map has grown" && line.field("map").is_some_and(|name| name == map)
}

/// Starts an agent whose maps begin small.
fn start(starts: &mut Starts<'_>, source: &[&str]) -> usize {
    let mark = starts.start_growing(&agents::built(), source, &[]);
    starts.wait(mark, "\"serving\"");
    mark
}

#[test]
fn maps_grow_while_an_agent_runs_and_nothing_is_lost() {
    under_load(&["tc", "xdp"], "growth", |starts, source, tally| {
        let outside = starts.outside;
        let mark = start(starts, source);
        assert_eq!(entries(outside, "SERVICES"), 4096);
        let scratch = pinned(outside, "SCRATCH").id();
        for count in [1800, 6000] {
            let before = starts.log.mark();
            put_services(outside, count);
            let line = starts.log.wait(before, START, has_grown("SERVICES")).unwrap();
            println!("{}", line.text);
            wait_services(starts, before, count);
            let needed = 2 * u32::from(count);
            assert!(eventually(START, || entries(outside, "SERVICES") > needed), "the larger map is in place");
            wait_for_answers(tally);
        }
        assert!(starts.log.since(mark).iter().all(|line| !line.text.contains("ERROR")), "nothing is refused");
        // Another agent keeps the sizes.
        let size = entries(outside, "SERVICES");
        assert!(size >= 16_384, "{size}");
        start(starts, source);
        assert_eq!(entries(outside, "SERVICES"), size);
        // A device's new program on one hook reads what its old program on the other has noted.
        assert_eq!(pinned(outside, "SCRATCH").id(), scratch, "old and new programs share SCRATCH");
        wait_for_answers(tally);
    });
}

#[test]
fn an_agent_may_die_at_any_moment_of_a_growth() {
    under_load(&["tc", "xdp"], "dies", |starts, source, tally| {
        let outside = starts.outside;
        let lines = [
            "a larger set is prepared",
            "new programs and maps are complete",
            "new flows are opened by the new programs",
            "the new programs know all flows",
        ];
        for (count, line) in (0_u16..).map(|round| 1900 << round).zip(lines) {
            start(starts, source);
            let before = starts.log.mark();
            put_services(outside, count);
            starts.log.wait(before, START, |seen| seen.text.contains(line)).unwrap();
            starts.kill();
            wait_for_answers(tally);
            let mark = start(starts, source);
            wait_services(starts, mark, count);
            starts.kill();
        }
    });
}
