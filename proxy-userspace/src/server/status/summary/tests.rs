//! Tests of what an agent's status becomes.

use std::sync::Arc;

use super::*;
use crate::{
    agent::refusals::Refused,
    attach::{AttachedDevice, Mode},
    model::diagnostic::Diagnostic,
    objects::ObjectRef,
};

fn identity(folder: Option<&str>) -> Identity {
    Identity {
        instance: "default".to_owned(),
        node_name: "n1".to_owned(),
        folder: folder.map(PathBuf::from),
        started: SystemTime::UNIX_EPOCH,
    }
}

/// The status of an agent that serves everything.
fn serving(now: Instant) -> Status {
    Status { generation: 7, attached: true, alive: now, ..Status::new() }
}

fn report(status: &Status, observed: Observed, now: Instant) -> StatusReport {
    StatusReport::of_agent(&identity(Some("/etc/services")), status, observed, (now, SystemTime::now()))
}

#[test]
fn s32_health_is_that_of_livez_and_degraded_is_in_between() {
    let now = Instant::now();
    let healthy = serving(now);
    assert_eq!(report(&healthy, Observed::default(), now).health, Health::Healthy);
    let full = Refused { parts: 3, first: "shop/web".to_owned(), is_service: true };
    let error = "SERVICES is full; start waggle with a larger --max-services".to_owned();
    let degraded = Status { refused: Arc::new([(error.clone(), full)].into()), ..healthy.clone() };
    let shown = report(&degraded, Observed::default(), now);
    assert_eq!(shown.health, Health::Degraded);
    assert_eq!(shown.reasons, [format!("not in force (3, the first: shop/web): {error}")]);
    let [refused] = &shown.agent.unwrap().not_in_force[..] else { panic!("one error") };
    assert_eq!((refused.map.as_deref(), refused.parts, &*refused.first), (Some("SERVICES"), 3, "shop/web"));
    let nothing = report(&Status { generation: 0, ..degraded }, Observed::default(), now);
    assert_eq!((nothing.health, nothing.reasons.len()), (Health::Unhealthy, 2));
    assert_eq!(nothing.agent.unwrap().last_applied, None);
}

#[test]
fn s30_each_watch_has_its_age() {
    let start = Instant::now();
    let contact = Contact::new();
    let later = start + Duration::from_secs(3700);
    for (kind, seconds) in [(Kind::Service, 3690), (Kind::Node, 3000)] {
        contact.note_at(kind, start + Duration::from_secs(seconds));
    }
    contact.note_response(Some(200));
    contact.note_response(None);
    let status = Status { alive: later, ..serving(start) };
    let status = Status { contact: Some(contact), silence: Some(Duration::from_mins(10)), ..status };
    let shown = report(&status, Observed::default(), later);
    assert_eq!(shown.health, Health::Unhealthy);
    let SourceReport::ApiServer { silence_limit_seconds, watches, responses } = shown.agent.unwrap().source else {
        panic!("an API server")
    };
    assert_eq!(silence_limit_seconds, Some(600));
    let age = |kind: &str| watches.iter().find(|watch| watch.kind == kind).unwrap().age_seconds;
    assert!((9..=10).contains(&age("Service")) && (699..=700).contains(&age("Node")), "{watches:?}");
    assert!((3699..=3700).contains(&age("EndpointSlice")), "{watches:?}");
    assert_eq!(responses, [("200".to_owned(), 1), ("error".to_owned(), 1)].into());
}

#[test]
fn what_lacks_its_program_is_named_once() {
    let now = Instant::now();
    let status = serving(now);
    let found = |name: &str| [(name.to_owned(), "busy".to_owned())].into();
    status.missing.replace(AttachPoint::Cgroup, found("connect4"), now);
    status.missing.replace(AttachPoint::Device, found("eth1"), now);
    let device = AttachedDevice { name: "eth0".to_owned(), mode: Mode::Xdp, is_attached: true };
    let attached = Attached { hooks: vec![("connect4", true), ("connect6", false)], devices: vec![device] };
    let shown = report(&status, Observed { attached, ..Observed::default() }, now + Duration::from_secs(5));
    assert_eq!(shown.health, Health::Degraded);
    assert_eq!(shown.reasons, ["hooks and devices have just lost their programs: 2"]);
    let hooks: Vec<_> = shown
        .hooks
        .iter()
        .map(|hook| (hook.attached, hook.missing.as_ref().map(|missing| missing.missing_seconds)))
        .collect();
    assert_eq!(hooks, [(false, Some(5)), (false, None)]);
    let devices: Vec<_> = shown.devices.iter().map(|device| (&*device.name, device.mode, device.attached)).collect();
    assert_eq!(devices, [("eth0", Some(Mode::Xdp), true), ("eth1", None, false)]);
}

#[test]
fn a_report_survives_json_and_has_its_names() {
    let now = Instant::now();
    let object = ObjectRef { kind: Kind::Service, namespace: "shop".to_owned(), name: "web".to_owned() };
    let (field, reason) = ("spec.externalIPs[0]".to_owned(), "127.0.0.1 is a loopback address".to_owned());
    let skipped_fields = Arc::from([Diagnostic { object, field, reason }]);
    let status = Status { skipped_fields, skipped: [(Kind::Service, 1)].into(), ..serving(now) };
    let log = vec![RecentLine { time: jiff::Timestamp::UNIX_EPOCH, is_error: true, text: "degraded".to_owned() }];
    let maps = vec![MapReport::new("SERVICES", 3, 4, Some(8))];
    let shown = report(&status, Observed { maps, log, ..Observed::default() }, now);
    let json = serde_json::to_value(&shown).unwrap();
    assert_eq!(json["agent"]["source"], serde_json::json!({ "type": "folder", "path": "/etc/services" }));
    assert_eq!(json["agent"]["skipped"][0]["object"], "Service shop/web");
    assert_eq!(json["agent"]["lastErrors"][0]["time"], "1970-01-01T00:00:00Z");
    assert_eq!(json["maps"][0]["fullPercent"], 75);
    assert_eq!(serde_json::from_value::<StatusReport>(json).unwrap(), shown);
}
