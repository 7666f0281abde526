//! Events of SCTP. Pods' associations, too, are served at the packet hooks. A kernel for development may have no SCTP; the kernels
//! of `cargo xtask vm` have the module.

use std::net::{IpAddr, SocketAddr};

use harness::{
    lab::{Client, Dial, Transport},
    packet::association::{chunk, init},
    scene::{Association, BOUND_PORT, expect_by, sctp_end, send_raw, until, with_associations, with_sctp_servers},
};
use serde_json::{Value, json};

use super::{Monitor, backend, summary};

/// The next events, at least so many.
fn events(monitor: &Monitor, count: usize) -> Vec<Value> {
    let mut lines = Vec::new();
    until("events", || {
        lines.extend(monitor.lines.try_iter());
        lines.len() >= count
    });
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn monitor(association: &Association<'_>) -> Monitor {
    let client = association.client.ip();
    Monitor::start(&association.outside.scene, &format!("-o json --protocol sctp --client {client}"))
}

#[test]
fn an_association_is_new_with_its_init_and_ends_once() {
    with_associations("mon-assoc", |association| {
        let monitor = monitor(association);
        association.open();
        association.close();
        association.open();
        association.client_sends(chunk::ABORT, "reset");
        let mut events = events(&monitor, 4);
        events.extend(monitor.stop());
        let shown: Vec<_> = events.iter().map(summary).collect();
        assert_eq!(shown, ["new web SCTP -", "end web SCTP closed", "new web SCTP -", "end web SCTP reset"]);
        let ends = [association.client, association.frontend, sctp_end(association.family, association.backend)];
        for event in &events {
            let shown = ["client", "frontend", "backend"].map(|end| &event[end]);
            assert_eq!(shown, ends.map(|end| json!(end.to_string())).each_ref(), "{event}");
            assert_eq!((&event["port"], &event["process"]), (&json!("sctp"), &json!(null)), "{event}");
        }
    });
}

#[test]
fn an_init_without_a_backend_is_rejected() {
    with_associations("mon-init", |association| {
        association.outside.serve_sctp(association.family, &[]);
        let monitor = monitor(association);
        let packet = init(association.client, association.frontend);
        let mut shown = Vec::new();
        until("a refusal", || {
            send_raw(association.outside.host.netns(), association.family, &packet);
            shown.extend(monitor.lines.try_iter().map(|line| summary(&serde_json::from_str(&line).unwrap())));
            shown.iter().any(|event| event == "reject web SCTP no_backend")
        });
        monitor.stop();
    });
}

#[test]
#[ignore = "this kernel may have no SCTP: cargo xtask vm runs it"]
fn associations_of_pods_and_of_clients_outside_are_new_and_end() {
    with_sctp_servers("mon-sctp", |outside, family| {
        let (scene, pods) = (&outside.scene, [outside.scene.pod(1), &outside.remote]);
        outside.serve_sctp(family, &pods);
        let clients: [(&Client, IpAddr, SocketAddr, &str); 2] = [
            (&outside.client, outside.address(family), outside.node_port(family), "eth0"),
            (&scene.from_pod, family.of(&scene.client), family.frontend(1), "pod-client"),
        ];
        for (client, address, to, device) in clients {
            expect_by(client, Transport::Sctp, to, &["p1", "far"]);
            let monitor = Monitor::start(scene, &format!("-o json --protocol sctp --client {address}"));
            let own = SocketAddr::new(address, BOUND_PORT);
            let reply = client.dial(&Dial::new(Transport::Sctp, to).bind(own)).unwrap();
            let pod = pods[usize::from(reply.backend() == "far")];
            let new = monitor.event_of("new", own);
            assert_eq!((backend(&new), &new["device"]), (sctp_end(family, pod).to_string().as_str(), &json!(device)));
            let end = monitor.event_of("end", own);
            assert_eq!((summary(&end).as_str(), &end["backend"]), ("end web SCTP closed", &new["backend"]));
            let mut left = monitor.stop();
            left.retain(|event| event["client"] == own.to_string());
            assert_eq!(left, [json!(null); 0]);
        }
    });
}
