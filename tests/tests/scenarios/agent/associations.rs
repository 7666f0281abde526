//! `waggle explain` about SCTP: the loaded programs do with an INIT what the other steps say, and what happens to real
//! associations. A kernel for development may have no SCTP; the kernels of `cargo xtask vm` have the module.

use std::{
    collections::BTreeSet,
    fmt::Display,
    net::{IpAddr, SocketAddr},
};

use harness::{
    lab::{Client, Dial, Transport, eventually},
    packet::association::chunk,
    scene::{
        Association, Family, Outside, WAIT_LIMIT, expect_by, sctp_end, until, with_associations, with_sctp_servers,
    },
};
use serde_json::{Value, json};

use super::{
    explain::{candidates, explain, verdict},
    trial::{did, translated},
};

fn about(outside: &Outside, client: &dyn Display, to: SocketAddr) -> Value {
    explain(&outside.scene, &format!("{client} {to} --protocol sctp"))
}

/// The backends that an association may get.
fn backends(outside: &Outside, client: &dyn Display, to: SocketAddr) -> BTreeSet<String> {
    let question = format!("{client} {to} --protocol sctp --no-run");
    candidates(&explain(&outside.scene, &question))
}

/// The addresses of the client outside and of a pod, and what they dial.
fn clients(outside: &Outside, family: Family) -> [(IpAddr, SocketAddr); 2] {
    let pod = family.of(&outside.scene.client);
    [(outside.address(family), outside.node_port(family)), (pod, family.frontend(1))]
}

#[test]
fn w13_the_programs_send_an_init_where_the_other_steps_say() {
    with_associations("xpl-init", |association| {
        let (outside, family) = (association.outside, association.family);
        for (client, to) in clients(outside, family) {
            // Pods' devices have programs once there is an SCTP Service.
            let mut explanation = Value::Null;
            let is_run = eventually(WAIT_LIMIT, || {
                explanation = about(outside, &client, to);
                explanation["programs"]["outcome"].is_string()
            });
            assert!(is_run, "{explanation:#}");
            assert_eq!(did(&explanation), ["served", ""], "{explanation:#}");
            assert_eq!(explanation["programs"]["packet"]["kind"], "INIT");
            let [source, destination] = translated(&explanation);
            assert_eq!(destination, sctp_end(family, association.backend));
            let keeps = explanation["candidates"][0]["keepsClientAddress"].as_bool().unwrap();
            assert_eq!(keeps, association.backend.name() == "p1", "S26");
            assert_eq!(source.ip(), if keeps { client } else { family.of(&outside.scene.node) }, "{explanation:#}");
        }
        if association.backend.name() == "p1" {
            return;
        }
        outside.serve_sctp(family, &[]);
        for (client, to) in clients(outside, family) {
            until("no backend", || backends(outside, &client, to).is_empty());
            let refused = about(outside, &client, to);
            assert_eq!(did(&refused), ["rejected", "no_backend"], "{refused:#}");
            assert_eq!((verdict(&refused)[1], &refused["programs"]["answer"]), ("no_backend", &json!("ICMP error")));
        }
    });
}

#[test]
fn s29_an_init_stays_in_an_open_association_and_begins_another_after_its_end() {
    with_associations("xpl-assoc", |association| {
        let Association { outside, family, backend, client, frontend } = *association;
        let other = if backend.name() == "p1" { &outside.remote } else { outside.scene.pod(1) };
        let now = |state: &str| {
            let explanation = about(outside, &client, frontend);
            assert_eq!(explanation["flow"]["state"], state, "{explanation:#}");
            assert_eq!(explanation["flow"]["backend"], sctp_end(family, backend).to_string());
            assert_eq!(did(&explanation), ["served", ""], "{explanation:#}");
            let [source, destination] = translated(&explanation);
            (explanation["flow"]["source"] == source.to_string(), destination)
        };
        association.open();
        assert_eq!(now("established"), (true, sctp_end(family, backend)));
        association.client_sends(chunk::DATA, "established");
        outside.serve_sctp(family, &[other]);
        let others = [sctp_end(family, other).to_string()].into();
        until("the other backend", || backends(outside, &client, frontend) == others);
        association.client_sends(chunk::SHUTDOWN, "client_closed");
        assert_eq!(now("client_closed").1, sctp_end(family, other), "an association can't be half-closed");
        association.backend_sends(chunk::SHUTDOWN_ACK, "closed");
        association.client_sends(chunk::SHUTDOWN_COMPLETE, "reset");
        assert_eq!(now("reset").1, sctp_end(family, other));
    });
}

#[test]
#[ignore = "this kernel may have no SCTP: cargo xtask vm runs it"]
fn w13_associations_go_where_explain_says() {
    with_sctp_servers("xpl-sctp", |outside, family| {
        let scene = &outside.scene;
        for pod in [scene.pod(1), &outside.remote] {
            outside.serve_sctp(family, &[pod]);
            let processes: [&Client; 2] = [&outside.client, &scene.from_pod];
            for ((address, to), process) in clients(outside, family).into_iter().zip(processes) {
                expect_by(process, Transport::Sctp, to, &[pod.name()]);
                let explanation = about(outside, &address, to);
                assert_eq!(did(&explanation), ["served", ""], "{explanation:#}");
                let [source, destination] = translated(&explanation);
                assert_eq!(destination, sctp_end(family, pod));
                let reply = process.dial(&Dial::new(Transport::Sctp, to)).unwrap();
                assert_eq!(Some(source.ip()), reply.seen_client().map(|client| client.ip()), "{explanation:#}");
            }
            let (own, to) = (family.of(&scene.node), family.frontend(1));
            expect_by(&scene.from_node, Transport::Sctp, to, &[pod.name()]);
            let explanation = about(outside, &own, to);
            assert!(explanation["programs"]["notRun"].is_string(), "packets of the node's own: {explanation:#}");
            let reply = scene.from_node.dial(&Dial::new(Transport::Sctp, to)).unwrap();
            let source = &explanation["candidates"][0]["source"];
            assert_eq!(*source, reply.seen_client().unwrap().ip().to_string(), "{explanation:#}");
        }
    });
}
