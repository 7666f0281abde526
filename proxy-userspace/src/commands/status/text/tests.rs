//! Tests of what people are shown.

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::{
    attach::Mode,
    server::status::{InForce, Time},
};

fn time(seconds: i64) -> Time {
    Time(Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds))
}

fn agent() -> AgentReport {
    let watch =
        |kind: &str, age_seconds, unreadable| WatchReport { kind: kind.to_owned(), age_seconds, lists: 1, unreadable };
    AgentReport {
        version: "0.1.0".to_owned(),
        node_name: "n1".to_owned(),
        node_eligible: true,
        started: time(0),
        generation: 118,
        last_applied: Some(time(10_796)),
        last_applied_age_seconds: Some(4),
        source: SourceReport::ApiServer {
            silence_limit_seconds: Some(600),
            watches: vec![watch("Service", 12, 2), watch("Node", 119, 0)],
            responses: [("200".to_owned(), 9)].into(),
        },
        not_in_force: Vec::new(),
        skipped_fields: 1,
        skipped: vec![SkippedReport {
            object: "Service shop/web".to_owned(),
            field: "spec.externalIPs[0]".to_owned(),
            reason: "127.0.0.1 is a loopback address".to_owned(),
        }],
        last_errors: Vec::new(),
    }
}

fn report() -> StatusReport {
    let hook = |name: &str, attached| HookReport {
        name: name.to_owned(),
        attached,
        missing: (!attached).then(|| MissingReport { missing_seconds: 5, reason: "busy".to_owned() }),
    };
    let device =
        |name: &str| DeviceReport { name: name.to_owned(), mode: Some(Mode::Tc), attached: true, missing: None };
    StatusReport {
        instance: "default".to_owned(),
        time: time(10_800),
        health: Health::Degraded,
        reasons: vec!["hooks and devices have just lost their programs: 1".to_owned()],
        agent: Some(agent()),
        in_force: InForce { services: 1, service_ports: 2, frontends: 3, backends: 0 },
        hooks: vec![hook("connect4", true), hook("connect6", false)],
        devices: vec![device("eth0"), device("eth1")],
        maps: vec![
            MapReport::new("AFFINITY", 0, 256, Some(256)),
            MapReport::new("SERVICES", 3072, 4096, Some(65_536)),
            MapReport::new("SLOTS", 10, 100, None),
        ],
    }
}

#[test]
fn one_screen_says_it_all() {
    let wanted = "\
Instance    default, agent 0.1.0 since 1970-01-01T00:00:00Z (3h), node n1
Health      degraded
            - hooks and devices have just lost their programs: 1
Source      API server, last heard of Service 12s ago, Node 119s ago, unhealthy after 10m
            2 of Service can't be read
In force    1 Service, 2 service ports, 3 frontends, 0 backends
            generation 118, applied 1970-01-01T02:59:56Z (4s ago)
Hooks       1 of 2 attached
            - connect6 is missing for 5s: busy
Devices     eth0 tc, eth1 tc
Maps        SERVICES             75 %   3072 of 4096, grows up to 65536
            SLOTS                10 %   10 of 100
            AFFINITY              0 %   0 of 256
Skipped     1 field
            - Service shop/web spec.externalIPs[0]: 127.0.0.1 is a loopback address
Log         no warning and no error since the start
";
    assert_eq!(text(&report(), Style::default()), wanted);
}

#[test]
fn without_an_agent_its_sections_are_left_out() {
    let report = StatusReport { agent: None, health: Health::Unhealthy, ..report() };
    let text = text(&report, Style::default());
    assert!(text.starts_with("Instance    default, no agent answers\nHealth      unhealthy\n"), "{text}");
    let titles = ["Source", "Skipped", "Log", "generation"];
    assert!(!text.lines().any(|line| titles.iter().any(|title| line.trim_start().starts_with(title))), "{text}");
}

#[test]
fn only_the_health_is_coloured_and_only_if_wanted() {
    let text = |is_coloured| text(&report(), Style { is_wide: false, is_coloured });
    assert!(!text(false).contains('\x1b'));
    assert_eq!(text(true).replace("\x1b[33mdegraded\x1b[0m", "degraded"), text(false));
}

#[test]
fn what_is_long_is_shown_in_part_unless_all_is_asked_for() {
    let mut report = report();
    let (map, device) = (report.maps[2].clone(), report.devices[0].clone());
    report.maps = vec![map; MAPS + 2];
    report.devices = vec![device; DEVICES + 2];
    let lines = |style| text(&report, style).lines().filter(|line| line.contains(" % ")).count();
    let wide = Style { is_wide: true, ..Style::default() };
    assert_eq!([lines(Style::default()), lines(wide)], [MAPS, MAPS + 2]);
    assert!(text(&report, Style::default()).contains(", 2 more\n") && !text(&report, wide).contains("more"));
}
