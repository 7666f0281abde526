//! Events of packets from outside, by TC and by native XDP.

use std::{collections::BTreeSet, net::SocketAddr, thread, time::Duration};

use harness::{
    lab::{Dial, Kind, Transport},
    packet::tcp,
    scene::{
        BOUND_PORT, Family, Outside, PORTS, Setup, expect, expect_by, from_outside, from_outside_over_both, over_both,
        send_raw, until,
    },
};
use serde_json::{Value, json};

use super::{Monitor, backend, summary};

/// The flags by which only events of packets from the client outside are shown.
fn of_client(outside: &Outside, family: Family) -> String {
    format!("-o json --client {}", outside.address(family))
}

fn far(outside: &Outside, family: Family) -> String {
    SocketAddr::new(family.of(&outside.remote), PORTS[0]).to_string()
}

#[test]
fn a_flow_is_new_with_its_first_packet_and_ends_when_both_sides_have_closed() {
    from_outside_over_both("mon-flow", |outside, family| {
        outside.serve(family, &outside.web(family), &[&outside.remote]);
        let to = outside.node_port(family);
        expect(&outside.client, to, &["far"]);
        let monitor = Monitor::start(&outside.scene, &of_client(outside, family));
        let socket = outside.client.connect_tcp(to).unwrap();
        let local = socket.names().unwrap().local;
        let new = monitor.event_of("new", local);
        assert_eq!((&new["name"], &new["frontend"]), (&json!("web"), &json!(to.to_string())));
        assert_eq!((&new["client"], backend(&new)), (&json!(local.to_string()), far(outside, family).as_str()));
        assert!(["xdp", "tc"].map(Value::from).contains(&new["hook"]), "{new}");
        let device = new["device"].as_str().unwrap();
        assert!(!device.is_empty() && !device.starts_with('#'), "{device}");
        assert_eq!((&new["process"], &new["command"]), (&json!(null), &json!(null)));
        drop(socket);
        let end = monitor.event_of("end", local);
        assert_eq!((&end["reason"], &end["client"]), (&json!("closed"), &new["client"]));
        assert_eq!((&end["name"], &end["frontend"], backend(&end)), (&new["name"], &new["frontend"], backend(&new)));
        assert_eq!(monitor.stop(), [json!(null); 0]);
        outside.scene.delete("Service", "web");
    });
}

#[test]
fn a_reset_ends_a_flow_of_a_backend_here_and_elsewhere() {
    from_outside("mon-reset", |outside| {
        let family = Family::Ipv4;
        for pod in [outside.scene.pod(1), &outside.remote] {
            outside.serve(family, &outside.web(family), &[pod]);
            expect(&outside.client, outside.node_port(family), &[pod.name()]);
            let monitor = Monitor::start(&outside.scene, &format!("{} --type end", of_client(outside, family)));
            let socket = outside.client.connect_tcp(outside.node_port(family)).unwrap();
            socket.ask("who").unwrap();
            let local = socket.names().unwrap().local;
            socket.disconnect().unwrap();
            assert_eq!(summary(&monitor.event_of("end", local)), "end web TCP reset");
            assert_eq!(monitor.stop(), [json!(null); 0]);
        }
    });
}

#[test]
fn what_comes_after_a_reset_does_not_end_the_flow_again() {
    from_outside("mon-resets", |outside| {
        for family in Family::BOTH {
            outside.serve(family, &outside.web(family), &[&outside.remote]);
            let to = outside.node_port(family);
            expect(&outside.client, to, &["far"]);
            let monitor = Monitor::start(&outside.scene, &format!("{} --type end", of_client(outside, family)));
            let send = |packet| send_raw(outside.host.netns(), family, &packet);
            let [first, last] = [BOUND_PORT, BOUND_PORT + 1].map(|port| SocketAddr::new(outside.address(family), port));
            // No socket has these ports: the client's kernel resets what the backend accepts.
            send(tcp(first, to).syn());
            assert_eq!(summary(&monitor.event_of("end", first)), "end web TCP reset");
            // A flow's entries are written at most once a second.
            thread::sleep(Duration::from_millis(1500));
            send(tcp(first, to).rst());
            send(tcp(last, to).syn());
            let of_both = [first, last].map(|client| client.to_string());
            let is_of_both = |event: &Value| of_both.iter().any(|client| event["client"] == client.as_str());
            let next = monitor.find("end", is_of_both);
            assert_eq!(next["client"], of_both[1], "{next}");
            monitor.stop();
            outside.scene.delete("Service", "web");
        }
    });
}

#[test]
fn refused_packets_have_their_reason_and_their_service_if_there_is_one() {
    from_outside("mon-out", |outside| {
        over_both(|family| {
            let (scene, client) = (&outside.scene, &outside.client);
            // Without the Service, the node itself would refuse.
            outside.serve(family, &outside.web(family), &[&outside.remote]);
            expect(client, outside.node_port(family), &["far"]);
            outside.serve_by(family, &[]);
            expect_by(client, Transport::Tcp, outside.node_port(family), &["ECONNREFUSED"]);
            let monitor = Monitor::start(scene, &of_client(outside, family));
            client.tcp(outside.node_port(family)).unwrap_err();
            assert_eq!(summary(&monitor.event("reject")), "reject web TCP no_backend");
            client.udp(outside.node_port(family)).unwrap_err();
            assert_eq!(summary(&monitor.event("reject")), "reject web UDP no_backend");
            let unserved = SocketAddr::new(family.cluster_ip(1), 81);
            client.tcp(unserved).unwrap_err();
            assert_eq!(summary(&monitor.event("reject")), "reject - TCP unserved_port");
            let unowned = SocketAddr::new(family.cluster_ip(99), 80);
            let lost = Dial::new(Transport::UdpConnected, unowned).timeout(Duration::from_millis(300));
            client.dial(&lost).unwrap_err();
            let dropped = monitor.event("drop");
            assert_eq!(summary(&dropped), "drop - UDP unowned_address");
            assert_eq!((&dropped["frontend"], backend(&dropped)), (&json!(unowned.to_string()), ""));
            let host = dropped["client"].as_str().and_then(|client| client.parse::<SocketAddr>().ok()).unwrap();
            assert_eq!(host.ip(), outside.address(family));
            monitor.stop();
            outside.scene.delete("Service", "web");
        });
    });
}

#[test]
fn s29_datagrams_leave_a_backend_that_goes() {
    from_outside("mon-drain", |outside| {
        let family = Family::Ipv4;
        let near = outside.scene.pod(1);
        outside.serve(family, &outside.web(family), &[near]);
        let to = outside.node_port(family);
        expect(&outside.client, to, &[near.name()]);
        let datagrams = outside.client.open(Kind::Udp4, None).unwrap();
        let monitor = Monitor::start(&outside.scene, &format!("{} --type new,reselect", of_client(outside, family)));
        let answer = || {
            datagrams.send_to(to, "who").unwrap();
            datagrams.receive(Duration::from_secs(2)).map(|message| message.backend().to_owned())
        };
        assert_eq!(answer().unwrap(), near.name());
        let first = monitor.event("new");
        outside.serve_by(family, &[&outside.remote]);
        until("the datagrams move", || answer().is_ok_and(|name| name == "far"));
        let events = monitor.stop();
        assert_eq!(events.iter().map(summary).collect::<Vec<_>>(), ["reselect web UDP -", "new web UDP -"]);
        assert_eq!((backend(&events[0]), backend(&events[1])), (backend(&first), far(outside, family).as_str()));
        assert_eq!([&events[0]["client"], &events[1]["client"]], [&first["client"]; 2]);
    });
}

#[test]
fn refusals_beyond_the_rate_are_drops() {
    from_outside(Setup::new("mon-limit").args(["--reject-rate", "1"]), |outside| {
        over_both(|family| {
            outside.serve(family, &outside.web(family), &[]);
            let to = outside.node_port(family);
            let kind = if family == Family::Ipv4 { Kind::Udp4 } else { Kind::Udp6 };
            let datagrams = outside.client.open(kind, None).unwrap();
            let monitor = Monitor::start(&outside.scene, &format!("{} --type reject,drop", of_client(outside, family)));
            let mut seen = BTreeSet::new();
            until("a refusal beyond one a second", || {
                datagrams.send_to(to, "who").unwrap();
                let events = monitor.lines.try_iter().map(|line| serde_json::from_str::<Value>(&line).unwrap());
                seen.extend(events.map(|event| format!("{} of {}", summary(&event), event["frontend"])));
                seen.len() > 1
            });
            monitor.stop();
            let expected = ["drop web UDP reject_limited", "reject web UDP no_backend"];
            assert_eq!(seen, expected.map(|event| format!("{event} of \"{to}\"")).into());
            outside.scene.delete("Service", "web");
        });
    });
}

#[test]
fn packets_are_chosen_by_their_client() {
    from_outside("mon-client", |outside| {
        let family = Family::Ipv4;
        outside.serve(family, &outside.web(family), &[&outside.remote]);
        expect(&outside.client, outside.node_port(family), &["far"]);
        let monitor = Monitor::start(&outside.scene, "--client 203.0.113.0/24 -o json");
        outside.client.tcp(outside.node_port(family)).unwrap();
        assert_eq!(monitor.stop(), [json!(null); 0]);
    });
}
