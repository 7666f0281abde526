//! The log of an agent when there is no news.

use std::{thread, time::Duration};

use harness::{
    lab::{LogLine, START},
    scene::{Origin, Setup, cluster_ips, dual, slices, until},
};
use serde_json::{Value, json};

/// The resources that the agent follows.
const PLURALS: [&str; 3] = ["services", "endpointslices", "nodes"];

/// Whether a line is logged at the default level.
fn is_shown(line: &LogLine) -> bool {
    !matches!(line.field("level").and_then(Value::as_str), Some("DEBUG" | "TRACE"))
}

#[test]
fn a_quiet_cluster_logs_nothing_at_the_default_level() {
    let mut scene = Setup::new("quiet").origin(Origin::Api).backends(2).build();
    scene.put(&dual("web", 10).port(80, 8080).build());
    scene.endpoints("web", |slice| slice.port(8080), &[scene.pod(1)]);
    scene.start();
    let (api, log) = (scene.api(), scene.waggle.log());
    log.wait(0, START, |line| line.message() == "serving").unwrap();
    let mark = log.mark();
    // Servers end watches every few minutes, and connections break.
    let watches =
        |plural: &str| api.requests().iter().filter(|request| request.is_watch() && request.is_for(plural)).count();
    let before = PLURALS.map(watches);
    for plural in PLURALS {
        api.end_watches(plural, true);
    }
    api.cut().unwrap();
    for (plural, before) in PLURALS.into_iter().zip(before) {
        until("a watch ends and begins again", || watches(plural) > before + 1);
        api.end_watches(plural, false);
    }
    for round in 0..3 {
        // A kubelet's heartbeat, and controllers that note something for themselves.
        let beat =
            json!([{"type": "Ready", "status": "True", "lastHeartbeatTime": format!("2026-11-29T00:0{round}:00Z")}]);
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": scene.node.name()}, "status": {"conditions": beat},
        });
        scene.put(&node);
        for slice in slices("web", |slice| slice.port(8080), &[scene.pod(1)]) {
            let mut slice = slice.build();
            slice["metadata"]["annotations"] = json!({"note": round.to_string()});
            scene.put(&slice);
        }
        // A deployment.
        scene.endpoints("web", |slice| slice.port(8080), &[scene.pod(1 + (round + 1) % 2)]);
        let name = ["p2", "p1"][round % 2];
        for to in cluster_ips(10, 80) {
            until("it is in force", || scene.from_pod.tcp(to).is_ok_and(|reply| reply.backend() == name));
        }
    }
    thread::sleep(Duration::from_secs(3));
    let shown: Vec<_> = log.since(mark).into_iter().filter(is_shown).map(|line| line.text).collect();
    assert_eq!(shown, [""; 0]);
}
