//! The agent's own ports: health and metrics.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU32, Ordering},
};

use harness::{
    lab::LogLine,
    objects::{Cluster, lab_node, service, service_cidr},
    scene::{Origin, SERVICE_CIDRS, Scene, Setup, WAIT_LIMIT, dual, slices, until},
};
use serde_json::{Value, json};

use super::{METRICS, page, port};

const HEALTH: u16 = 10_256;

/// The code and the content of a health page.
fn health(scene: &Scene, path: &str) -> Option<(u16, Value)> {
    let (code, body) = page(scene, "127.0.0.1", HEALTH, path).ok()?;
    Some((code, serde_json::from_str(&body).ok()?))
}

fn code(scene: &Scene, path: &str) -> Option<u16> {
    health(scene, path).map(|(code, _)| code)
}

#[test]
fn s32_load_balancers_and_the_kubelet_learn_of_node_and_agent() {
    let mut scene = Setup::new("hz").build();
    let node = lab_node(&scene.node);
    scene.start();
    until("healthy", || code(&scene, "/healthz") == Some(200));
    let (_, body) = health(&scene, "/healthz").unwrap();
    assert_eq!((&body["nodeEligible"], &body["healthy"]), (&json!(true), &json!(true)), "{body}");
    assert!(body["lastUpdated"].is_string() && body["currentTime"].is_string(), "{body}");
    let mut leaving = node.build();
    leaving["spec"]["taints"] = json!([{ "key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule" }]);
    scene.put(&leaving);
    until("the node is about to go", || code(&scene, "/healthz") == Some(503));
    let (code_of_life, body) = health(&scene, "/livez").unwrap();
    assert_eq!((code_of_life, &body["healthy"]), (200, &json!(true)), "{body}");
    scene.put(&lab_node(&scene.node).build());
    until("it stays", || code(&scene, "/healthz") == Some(200));
    for (address, port, path, wanted) in [
        ("[::1]", HEALTH, "/livez", 200),
        ("127.0.0.1", HEALTH, "/", 404),
        ("127.0.0.1", METRICS, "/", 404),
        ("127.0.0.1", METRICS, "/healthz", 200),
    ] {
        let (code, text) = page(&scene, address, port, path).unwrap();
        assert_eq!(code, wanted, "{address} {port} {path}: {text}");
    }
    assert_eq!(page(&scene, "127.0.0.1", METRICS, "/proxyMode").unwrap(), (200, "ebpf".to_owned()));
    let elsewhere = scene.node.addresses()[0].to_string();
    assert!(page(&scene, &elsewhere, METRICS, "/metrics").is_err(), "metrics are for the node itself");
}

#[test]
fn s32_a_full_map_is_told_in_the_body_and_by_a_metric_while_the_node_stays_healthy() {
    let mut scene = Setup::new("hz-full").backends(1).args(["--max-slots", "1"]).build();
    // The numbers of degraded parts: by the body of `/healthz`, and by the metric. Such a node still responds 200.
    let degraded = |scene: &Scene| {
        let (code, body) = health(scene, "/healthz").unwrap();
        assert_eq!((code, &body["healthy"]), (200, &json!(true)), "{body}");
        let parts = body["degraded"].as_array().into_iter().flatten();
        let named = parts.filter(|part| part["error"].as_str().is_some_and(|error| error.contains("--max-slots")));
        let (_, metrics) = page(scene, "127.0.0.1", METRICS, "/metrics").unwrap();
        let metric = metrics.lines().find_map(|line| line.strip_prefix("waggle_degraded ")).unwrap().to_owned();
        (named.map(|part| part["parts"].as_u64().unwrap()).sum::<u64>(), metric)
    };
    for number in [1, 2] {
        let name = format!("web{number}");
        scene.put(&service(&name).cluster_ip(&format!("10.96.0.{number}")).port(80, 8080).build());
        scene.endpoints(&name, port, &[scene.pod(1)]);
    }
    scene.start();
    until("healthy", || code(&scene, "/healthz") == Some(200));
    until("a Service lacks its slot", || degraded(&scene) == (1, "1.0".to_owned()));
    scene.remove("web1");
    until("the other one gets it", || degraded(&scene) == (0, "0.0".to_owned()));
    assert!(scene.from_pod.tcp("10.96.0.2:80").is_ok());
}

#[test]
fn s32_a_node_that_is_deleted_gets_no_packets() {
    let mut scene = Setup::new("hz-gone").build();
    scene.start();
    until("healthy", || code(&scene, "/healthz") == Some(200));
    scene.objects.delete("Node", "", scene.node.name());
    until("the node is gone", || code(&scene, "/healthz") == Some(503));
    assert_eq!(code(&scene, "/livez"), Some(200));
}

#[test]
fn field_s15_ports_of_a_kube_proxy_are_taken_when_it_goes() {
    let scene = Setup::new("hz-busy").build();
    let hold = |port| scene.node.netns().inside(|| TcpListener::bind(("::", port))).unwrap().unwrap();
    let busy = [HEALTH, METRICS].map(hold);
    let waggle = scene.agent(&[]);
    let is_warning = |line: &LogLine| line.message().starts_with("the health and metrics ports are not served");
    let line = waggle.log().wait(0, WAIT_LIMIT, is_warning).unwrap();
    let taken = line.field("addresses").and_then(Value::as_str).unwrap_or_default();
    assert!(taken.contains("[::]:10256: ") && taken.contains("127.0.0.1:10249: "), "{taken}");
    drop(busy);
    until("the ports are served", || {
        code(&scene, "/livez") == Some(200) && page(&scene, "127.0.0.1", METRICS, "/metrics").is_ok()
    });
    let warnings = waggle.log().since(0).into_iter().filter(|line| line.message().contains("not served"));
    assert_eq!(warnings.count(), 1, "one warning for both");
}

#[test]
fn n09_the_ports_are_where_the_flags_say() {
    let scene = Setup::new("hz-flags").build();
    let _agent = scene.agent(&["--healthz-bind-address", "127.0.0.1:9000", "--metrics-bind-address", "0"]);
    until("served", || page(&scene, "127.0.0.1", 9000, "/livez").is_ok_and(|(code, _)| code == 200));
    assert!(page(&scene, "[::1]", 9000, "/livez").is_err());
    for port in [HEALTH, METRICS] {
        assert!(page(&scene, "127.0.0.1", port, "/metrics").is_err(), "{port}");
    }
}

#[test]
fn n09_the_unspecified_ipv4_address_is_every_address_of_both_families() {
    let scene = Setup::new("hz-any").build();
    let flags = ["--healthz-bind-address", "0.0.0.0:9000", "--metrics-bind-address", "0.0.0.0"];
    let _agent = scene.agent(&flags);
    let [v4, v6] = scene.node.addresses();
    for address in ["127.0.0.1", "[::1]", &v4.to_string(), &format!("[{v6}]")] {
        for port in [9000, METRICS] {
            until(&format!("served at {address}:{port}"), || page(&scene, address, port, "/healthz").is_ok());
        }
    }
}

/// Changes an object of every kind, so that the API server has something to send. Returns whether the agent is healthy.
fn spoken(scene: &Scene) -> bool {
    static WORDS: AtomicU32 = AtomicU32::new(0);
    let word = WORDS.fetch_add(1, Ordering::Relaxed).to_string();
    let slices = slices("web", port, &[]).map(|slice| slice.build());
    let others = [dual("web", 10).port(80, 8080).build(), lab_node(&scene.node).build()];
    let cidrs = service_cidr("kubernetes", &SERVICE_CIDRS);
    for mut object in slices.into_iter().chain(others).chain([cidrs]) {
        object["metadata"]["labels"]["word"] = json!(word);
        scene.put(&object);
    }
    code(scene, "/livez") == Some(200)
}

#[test]
fn n13_an_api_server_that_is_silent_is_said_until_it_speaks() {
    let mut scene = Setup::new("hz-silent").origin(Origin::Api).args(["--unhealthy-after", "5"]).build();
    scene.start();
    until("it speaks", || spoken(&scene));
    until("it is silent", || code(&scene, "/livez") == Some(503));
    let (_, body) = health(&scene, "/livez").unwrap();
    assert!(body["reasons"][0].as_str().unwrap().starts_with("nothing heard of"), "{body}");
    until("it speaks again", || spoken(&scene));
    scene.api().silence();
    until("the connections are dead", || !spoken(&scene));
}

/// Resources are refused with a code while the others are heard of: the agent is unhealthy for this reason, until they are served.
#[expect(clippy::unwrap_used, reason = "a step that fails fails the test")]
fn refuses(name: &str, resources: &[&str], code_of_refusals: u16, reason: &str) {
    let mut scene = Setup::new(name).origin(Origin::Api).args(["--unhealthy-after", "5"]).build();
    scene.start();
    until("it speaks", || spoken(&scene));
    for resource in resources {
        scene.api().refuse(resource, Some(code_of_refusals));
    }
    scene.api().cut().unwrap();
    until("nothing is heard", || !spoken(&scene));
    let refused = || scene.api().requests().iter().filter(|request| request.code == code_of_refusals).count();
    let before = refused();
    until("one more refusal of each", || {
        assert!(!spoken(&scene), "a refusal says nothing of the objects");
        refused() >= before + resources.len()
    });
    let (_, body) = health(&scene, "/livez").unwrap();
    assert!(body["reasons"][0].as_str().unwrap().starts_with(reason), "{body}");
    for resource in resources {
        scene.api().refuse(resource, None);
    }
    until("it is heard of again", || spoken(&scene));
}

#[test]
fn n13_an_api_server_that_only_refuses_is_stale() {
    refuses("hz-forbids", &["services"], 403, "nothing heard of Service objects");
}

#[test]
fn n13_a_balancer_without_api_servers_is_stale() {
    refuses("hz-balancer", &["services", "endpointslices", "nodes", "servicecidrs"], 503, "nothing heard of");
}

#[test]
fn n13_a_cluster_without_service_cidrs_is_healthy() {
    let mut scene = Setup::new("hz-old").origin(Origin::Api).build();
    scene.api().refuse("servicecidrs", Some(404));
    scene.start();
    until("healthy", || spoken(&scene));
    let (_, text) = page(&scene, "127.0.0.1", METRICS, "/metrics").unwrap();
    let age =
        text.lines().find_map(|line| line.strip_prefix("waggle_watch_age_seconds{kind=\"ServiceCIDR\"} ")).unwrap();
    assert!(age.parse::<f64>().unwrap() < scene.api().requests()[0].at.elapsed().as_secs_f64(), "{age}");
}
