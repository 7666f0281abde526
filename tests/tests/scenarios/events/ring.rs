//! The ring buffer: its only reader, samples, lost events, and a monitor that is killed.

use std::time::Duration;

use aya::maps::{Array, Map, MapData, RingBuf};
use harness::{
    lab::Client,
    scene::{Family, Scene, Setup, expect, until, web, web_slice},
};
use nix::{
    sys::signal::Signal,
    time::{ClockId, clock_gettime},
};
use proxy_common::{Counter, Event, EventKind, Monitor as Wanted};
use serde_json::Value;

use super::{Monitor, is_on, sockets::serve, wanted};

/// More connections than the ring buffer has room for events.
const FLOOD: usize = 3000;

fn dial(client: &Client, count: usize) {
    let answered = client.tally(Family::Ipv4.frontend(10), count);
    assert_eq!(answered.values().sum::<usize>(), count);
}

/// How many events the programs have lost.
fn lost(scene: &Scene) -> u64 {
    let counter = &scene.dump("counters")[Counter::EventLost as usize];
    counter["formatted"]["values"].as_array().unwrap().iter().map(|value| value["value"].as_u64().unwrap()).sum()
}

#[test]
fn a_sample_has_a_part_of_the_events() {
    let scene = Setup::new("mon-sample").backends(1).start();
    serve(&scene, Family::Ipv4, &[1]);
    let monitor = Monitor::start(&scene, "--sample 4 --type new -o json");
    dial(&scene.from_pod, 400);
    let shown = monitor.stop().len();
    // Further from a quarter than this once in a billion.
    assert!((45..=155).contains(&shown), "{shown} of 400");
}

#[test]
fn lost_events_are_counted_and_shown() {
    let scene = Setup::new("mon-lost").backends(1).start();
    serve(&scene, Family::Ipv4, &[1]);
    for arguments in ["--type new -o json", "--type new"] {
        let before = lost(&scene);
        let monitor = Monitor::start(&scene, arguments);
        // On a slow machine the time for which the monitor wants events may be over before the ring buffer is full.
        until("events are lost", || {
            monitor.signal(Signal::SIGSTOP);
            dial(&scene.from_pod, FLOOD);
            monitor.signal(Signal::SIGCONT);
            lost(&scene) > before
        });
        monitor.signal(Signal::SIGINT);
        let (code, lines, errors) = monitor.end();
        let notes = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let in_json = notes.filter(|note| note["type"] == "lost").map(|note| note["count"].as_u64().unwrap());
        let words =
            errors.lines().map(|line| line.strip_prefix("waggle: ").unwrap().split_once(" events lost: ").unwrap());
        let shown = in_json.chain(words.map(|(count, _)| count.parse().unwrap())).sum::<u64>();
        assert_eq!((code, shown), (0, lost(&scene) - before), "{errors}");
    }
}

#[test]
fn a_monitor_that_is_killed_is_soon_off() {
    let scene = Setup::new("mon-killed").backends(1).start();
    serve(&scene, Family::Ipv4, &[1]);
    let monitor = Monitor::start(&scene, "-o json");
    monitor.signal(Signal::SIGKILL);
    drop(monitor);
    let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap());
    let left = Duration::from_nanos(wanted(&scene, "expires")).saturating_sub(now);
    assert!(is_on(&scene) && left < Duration::from_secs(10), "{left:?}");

    let pin = |name: &str| MapData::from_pin(scene.waggle.pins().join(name)).unwrap();
    let mut ring = RingBuf::try_from(Map::from_map_data(pin("events")).unwrap()).unwrap();
    let mut monitor: Array<MapData, Wanted> = Map::from_map_data(pin("monitor")).unwrap().try_into().unwrap();
    let mut reported = |expires: Duration| {
        while ring.next().is_some() {}
        let expires = u64::try_from(expires.as_nanos()).unwrap();
        monitor.set(0, Wanted { kinds: EventKind::New.bit(), expires, ..Wanted::default() }, 0).unwrap();
        dial(&scene.from_pod, 1);
        ring.next().is_some_and(|bytes| bytes.len() == size_of::<Event>())
    };
    assert!(reported(now + Duration::from_hours(1)));
    assert!(!reported(now), "its time is over");
    let monitor = Monitor::spawn(&scene, "--type new --count 1 -o json");
    until("the next monitor shows an event", || {
        dial(&scene.from_pod, 1);
        !is_on(&scene)
    });
    assert_eq!(monitor.end().1.len(), 1);
}

#[test]
fn a_second_monitor_says_which_one_runs() {
    let scene = Setup::new("mon-second").backends(1).start();
    let monitor = Monitor::start(&scene, "-o json");
    let (success, text) = scene.cli(&["monitor"]);
    let expected = format!("another `waggle monitor` (process {}) reads its events", monitor.process.id());
    assert!(!success && text.contains(&expected), "{text}");
    assert!(is_on(&scene), "the first one goes on");
    monitor.stop();
    assert!(!is_on(&scene));
}

#[test]
fn a_monitor_goes_on_while_maps_are_replaced_and_ends_when_they_are_removed() {
    let mut scene = Setup::new("mon-maps").backends(1).start();
    scene.put(&web("web", [Family::Ipv4.cluster_ip(10)]).build());
    scene.put(&web_slice("web", Family::Ipv4).pod(scene.pod(1)).build());
    expect(&scene.from_pod, Family::Ipv4.frontend(10), &["p1"]);
    let monitor = Monitor::start(&scene, "svc/web --type new -o json");
    dial(&scene.from_pod, 1);
    monitor.event("new");
    scene.waggle.kill().unwrap();
    let larger = ["--preallocate", "--max-service-ports", "5000"];
    let mut agent = scene.agent(&larger);
    let marks = scene.dump("monitored_services").len();
    assert_eq!(marks, 5000, "another map has taken its place");
    let shown = || monitor.lines.try_iter().count();
    shown();
    until("events by the new map", || {
        dial(&scene.from_pod, 1);
        shown() > 0
    });
    agent.kill().unwrap();
    let (success, text) = scene.cli(&["cleanup"]);
    assert!(success, "{text}");
    let (code, _, errors) = monitor.end();
    let instance = scene.node.instance();
    let expected =
        format!("waggle: monitor instance {instance:?}: its data plane has been removed, as `waggle cleanup` does\n");
    assert_eq!((code, errors), (1, expected));
}
