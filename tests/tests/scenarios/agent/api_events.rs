//! Events of the Kubernetes API: what arrives, how few, and that nothing depends on them.

use std::{net::TcpListener, thread, time::Duration};

use harness::{
    lab::Capability,
    objects::{service, slice},
    scene::{Origin, Scene, Setup, cluster_ips, dual, until},
};
use serde_json::Value;

/// Long enough for Events that are too many.
const WHILE: Duration = Duration::from_secs(5);

/// The Events with this reason: the kind and name of the object, and the note.
fn events(scene: &Scene, reason: &str) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let events = scene.api().events().into_iter().filter(|event| event["reason"] == reason);
    events
        .map(|event| (text(&event["regarding"]["kind"]), text(&event["regarding"]["name"]), text(&event["note"])))
        .collect()
}

pub(super) fn arrives(scene: &Scene, reason: &str, kind: &str, name: &str, words: &str) {
    until(&format!("{reason} about {kind} {name}"), || {
        events(scene, reason).iter().any(|(k, n, note)| k == kind && n == name && note.contains(words))
    });
}

#[test]
fn s7_refused_addresses_are_events_of_their_services() {
    let scene = Setup::new("events").origin(Origin::Api).start();
    let stored =
        scene.api().put(service("bad").cluster_ip("10.96.0.66").external_ip("127.0.0.1").port(80, 8080).build());
    arrives(&scene, "NotServed", "Service", "bad", "spec.externalIPs[0]: 127.0.0.1 is a loopback address");
    let event = scene.api().events().remove(0);
    // `kubectl describe` finds it by the uid.
    assert_eq!(event["regarding"]["uid"], stored["metadata"]["uid"]);
    assert_eq!((&event["type"], &event["reportingController"]), (&"Warning".into(), &"waggle".into()));
    assert_eq!(event["reportingInstance"], scene.node.name());
    // Another fault of this Service is no further Event, but one of another Service is.
    for name in ["bad", "worse"] {
        scene.put(&slice(name).port(8080).endpoint("127.0.0.7").build());
    }
    scene.put(&service("worse").cluster_ip("10.96.0.67").port(80, 8080).build());
    arrives(
        &scene,
        "NotServed",
        "Service",
        "worse",
        "EndpointSlice default/worse, endpoints[0].addresses[0]: 127.0.0.7",
    );
    thread::sleep(WHILE);
    assert_eq!(events(&scene, "NotServed").len(), 2, "one for each object and reason: {:?}", scene.api().events());
    assert_eq!(scene.api().malformed(), []);
}

#[test]
fn field_s07_what_a_full_map_refuses_and_gets_later_are_events() {
    let scene = Setup::new("fullevent").origin(Origin::Api).args(["--max-service-ports", "2"]).build();
    for number in 1..=3_u8 {
        let name = format!("web{number}");
        scene.put(&service(&name).cluster_ip(&format!("10.96.0.{number}")).port(80, 8080).build());
    }
    let _waggle = scene.agent(&[]);
    until("a Service without a place", || !events(&scene, "NotInForce").is_empty());
    let (_, lacking, note) = events(&scene, "NotInForce").remove(0);
    assert!(note.contains("--max-service-ports"), "{note}");
    arrives(&scene, "Degraded", "Node", scene.node.name(), "--max-service-ports");
    let served = (1..=3).map(|number| format!("web{number}")).filter(|name| *name != lacking);
    served.for_each(|name| scene.delete("Service", &name));
    arrives(&scene, "InForce", "Service", &lacking, "in force");
    arrives(&scene, "Recovered", "Node", scene.node.name(), "in force");
    assert_eq!(scene.api().malformed(), []);
}

#[test]
fn s29_sockets_of_a_backend_that_is_gone_and_that_can_t_be_ended_are_an_event() {
    // Without CAP_SYS_ADMIN the agent can't look into the namespaces of pods.
    let kept = [
        Capability::CAP_BPF,
        Capability::CAP_NET_ADMIN,
        Capability::CAP_PERFMON,
        Capability::CAP_SYS_PTRACE,
        Capability::CAP_DAC_READ_SEARCH,
    ];
    let scene = Setup::new("staleevent").origin(Origin::Api).backends(2).capabilities(&kept).start();
    scene.put(&dual("dns", 10).udp_port(53, 8080).build());
    let serve = |backend: usize| scene.endpoints("dns", |slice| slice.udp_port(8080), &[scene.pod(backend)]);
    let [to, _] = cluster_ips(10, 53);
    let answers = |backend| scene.from_pod.udp(to).is_ok_and(|reply| reply.backend() == backend);
    serve(1);
    until("the first backend", || answers("p1"));
    scene.endpoints("dns", |slice| slice.udp_port(8080), &[scene.pod(1), scene.pod(2)]);
    thread::sleep(WHILE);
    assert_eq!(events(&scene, "StaleBackend"), [], "no backend has gone");
    serve(1);
    let socket = scene.from_pod.connect_udp(to).expect("connect to the first backend");
    serve(2);
    until("the second backend", || answers("p2"));
    let gone = format!("such as {}:8080", scene.pod(1).v4());
    arrives(&scene, "StaleBackend", "Node", scene.node.name(), &gone);
    let (.., note) = events(&scene, "StaleBackend").remove(0);
    assert!(note.contains("CAP_SYS_ADMIN") && note.contains("connect again"), "{note}");
    drop(socket);
    assert_eq!(scene.api().malformed(), []);
}

#[test]
fn n07_a_health_check_that_can_t_be_answered_is_an_event_of_its_service() {
    const PORT: u16 = 32_540;
    let scene = Setup::new("busyevent").origin(Origin::Api).backends(1).start();
    let busy =
        scene.node.netns().inside(|| TcpListener::bind(("0.0.0.0", PORT))).expect("enter the node").expect("bind");
    let service = dual("web", 10).kind("LoadBalancer").port(80, 8080).external_local();
    scene.put(&service.spec("healthCheckNodePort", PORT).build());
    scene.endpoints("web", |slice| slice.port(8080), &[scene.pod(1)]);
    arrives(
        &scene,
        "FailedToStartServiceHealthcheck",
        "Service",
        "web",
        &format!("[::]:{PORT}: Address already in use"),
    );
    let (.., note) = events(&scene, "FailedToStartServiceHealthcheck").remove(0);
    assert!(note.contains(scene.node.name()) && note.contains("free the port"), "{note}");
    drop(busy);
    arrives(&scene, "StartedServiceHealthcheck", "Service", "web", "no longer blocked");
    assert_eq!(scene.api().malformed(), []);
}

#[test]
fn field_s07_a_thousand_bad_services_are_ten_events_at_most() {
    let scene = Setup::new("manyevents").origin(Origin::Api).build();
    for number in 0..1000 {
        let bad =
            service(&format!("bad{number}")).cluster_ip(&format!("10.96.{}.{}", 1 + number / 250, 1 + number % 250));
        scene.put(&bad.external_ip("127.0.0.1").port(80, 8080).build());
    }
    let _waggle = scene.agent(&[]);
    until("an Event", || !scene.api().events().is_empty());
    thread::sleep(WHILE);
    let count = scene.api().requests().iter().filter(|request| request.path.contains("events.k8s.io")).count();
    assert!((1..=10).contains(&count), "{count}");
}

#[test]
fn s30_nothing_depends_on_events_that_are_not_taken() {
    let scene = Setup::new("noevents").origin(Origin::Api).backends(1).build();
    scene.api().refuse("events", Some(403));
    scene.put(&service("bad").cluster_ip("10.96.0.66").external_ip("127.0.0.1").port(80, 8080).build());
    scene.put(&dual("web", 10).port(80, 8080).build());
    let waggle = scene.agent(&[]);
    until("the Event is refused", || {
        scene.api().requests().iter().any(|request| request.path.contains("/events") && request.code == 403)
    });
    scene.endpoints("web", |slice| slice.port(8080), &[scene.pod(1)]);
    for to in cluster_ips(10, 80) {
        until("a change is in force", || scene.from_pod.tcp(to).is_ok_and(|reply| reply.backend() == "p1"));
    }
    assert!(waggle.log().since(0).iter().all(|line| !line.text.contains("can't be reached")));
}
