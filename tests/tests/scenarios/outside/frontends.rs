//! Packets from outside the node: through XDP and through TC, to backends here and elsewhere, to every kind of frontend.
//!

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use harness::{
    lab::{Client, Dial, TIMEOUT, Transport},
    scene::{
        Family, NODE_PORT, Outside, TRANSPORTS, expect, expect_by, from_outside_over_both, hold, until, web_slice,
    },
};

/// Waits until conversations with `to` get no response at all.
#[track_caller]
fn expect_silence(client: &Client, to: SocketAddr) {
    let ends = |transport| client.dial(&Dial::new(transport, to).timeout(Duration::from_millis(200)));
    let is_silent = |transport| ends(transport).is_err_and(|failure| failure.errno == "ETIMEDOUT");
    until("silence", || is_silent(Transport::Tcp));
    for transport in TRANSPORTS {
        assert!(is_silent(transport), "{transport:?} to {to}");
    }
}

/// Waits until conversations with `to` are refused at once. Only a connected socket learns of that.
#[track_caller]
fn expect_refusal(client: &Client, to: SocketAddr) {
    for transport in [Transport::Tcp, Transport::UdpConnected] {
        expect_by(client, transport, to, &["ECONNREFUSED"]);
        let failure = client.dial(&Dial::new(transport, to)).unwrap_err();
        assert!(failure.elapsed < TIMEOUT / 4, "{to}: {failure}");
    }
}

/// The clients' addresses as servers see them, over all transports.
fn seen(client: &Client, to: SocketAddr) -> BTreeSet<SocketAddr> {
    let dial = |transport| client.dial(&Dial::new(transport, to)).unwrap().seen_client().unwrap();
    TRANSPORTS
        .into_iter()
        .map(dial)
        .map(|mut client| {
            client.set_port(0);
            client
        })
        .collect()
}

/// `address` alone, as [`seen`] has it.
fn only(address: impl Into<std::net::IpAddr>) -> BTreeSet<SocketAddr> {
    [SocketAddr::new(address.into(), 0)].into()
}

#[test]
fn s18_s19_every_frontend_reaches_backends_here_and_elsewhere() {
    from_outside_over_both("frontends", |outside, family| {
        outside.serve(family, &outside.web(family), &[outside.scene.pod(1), &outside.remote]);
        for to in outside.frontends(family) {
            expect(&outside.client, to, &["p1", "far"]);
        }
        outside.scene.delete("Service", "web");
    });
}

#[test]
fn s19_a_process_of_the_node_is_a_backend() {
    from_outside_over_both("host", |outside, family| {
        let node = family.of(&outside.scene.node).to_string();
        outside.scene.put(&web_slice("web", family).endpoint(&node).node("a").build());
        outside.scene.put(&outside.web(family).build());
        for to in outside.frontends(family) {
            expect(&outside.client, to, &["a"]);
            assert_eq!(seen(&outside.client, to), only(outside.address(family)));
        }
        let node = family.of(&outside.other).to_string();
        let elsewhere = outside.other.serve(&[8080]).unwrap();
        outside.scene.put(&web_slice("web", family).endpoint(&node).node("b").build());
        expect(&outside.client, outside.node_port(family), &["b"]);
        drop(elsewhere);
        outside.scene.delete("Service", "web");
    });
}

#[test]
fn s26_only_a_backend_elsewhere_sees_the_node_as_client() {
    from_outside_over_both("source", |outside, family| {
        outside.serve(family, &outside.web(family), &[outside.scene.pod(1)]);
        for to in outside.frontends(family) {
            expect(&outside.client, to, &["p1"]);
            assert_eq!(seen(&outside.client, to), only(outside.address(family)), "{to}");
        }
        outside.serve_by(family, &[&outside.remote]);
        for to in outside.frontends(family) {
            expect(&outside.client, to, &["far"]);
            assert_eq!(seen(&outside.client, to), only(family.of(&outside.scene.node)), "{to}");
        }
        outside.scene.delete("Service", "web");
    });
}

#[test]
fn s17_external_local_serves_clients_outside_by_backends_here_alone() {
    from_outside_over_both("local", |outside, family| {
        let [cluster, external @ ..] = outside.frontends(family);
        let (near, far) = (outside.scene.pod(1), &outside.remote);
        outside.serve(family, &outside.web(family).external_local(), &[near, far]);
        for to in external {
            expect(&outside.client, to, &["p1"]);
            assert_eq!(seen(&outside.client, to), only(outside.address(family)), "{to}");
            expect(&outside.scene.from_node, to, &["p1", "far"]);
        }
        expect(&outside.client, cluster, &["p1", "far"]);
        outside.serve_by(family, &[far]);
        for to in external {
            expect_silence(&outside.client, to);
            expect(&outside.scene.from_node, to, &["far"]);
            expect(&outside.scene.from_pod, to, &["far"]);
        }
        expect(&outside.client, cluster, &["far"]);
        outside.scene.delete("Service", "web");
    });
}

#[test]
fn s16_without_a_backend_clients_are_refused_at_once() {
    from_outside_over_both("unowned", |outside, family| {
        outside.serve(family, &outside.web(family), &[]);
        for to in outside.frontends(family) {
            expect_refusal(&outside.client, to);
        }
        outside.scene.delete("Service", "web");
    });
}

#[test]
fn s20_a_port_that_is_not_served_is_refused_and_an_address_of_no_service_is_silent() {
    from_outside_over_both("unowned2", |outside, family| {
        outside.serve(family, &outside.web(family), &[outside.scene.pod(1)]);
        expect(&outside.client, family.frontend(1), &["p1"]);
        expect_refusal(&outside.client, SocketAddr::new(family.cluster_ip(1), 81));
        let unowned = SocketAddr::new(family.cluster_ip(99), 80);
        let filter = format!("ether src host {} and dst host {}", ethernet(outside), unowned.ip());
        let dial = || {
            TRANSPORTS.map(|transport| {
                outside
                    .client
                    .dial(&Dial::new(transport, unowned).timeout(Duration::from_millis(300)))
                    .unwrap_err()
                    .errno
            })
        };
        let (outcomes, packets) = outside.scene.node.capture("eth0", &filter, dial).unwrap();
        assert_eq!(outcomes, ["ETIMEDOUT"; 3]);
        assert!(packets.is_empty(), "left the node: {packets:#?}");
        outside.scene.delete("Service", "web");
    });
}

/// The Ethernet address of the node's `eth0`, by which its captures tell which host has sent a packet.
fn ethernet(outside: &Outside) -> String {
    let show = || std::process::Command::new("ip").args(["-j", "link", "show", "eth0"]).output();
    let output = outside.scene.node.netns().inside(show).unwrap().unwrap();
    let links: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    links[0]["address"].as_str().unwrap().to_owned()
}

#[test]
fn s21_source_ranges_filter_the_load_balancers_address() {
    from_outside_over_both("ranges", |outside, family| {
        let [cluster, node_port, external, balanced] = outside.frontends(family);
        let others = match family {
            Family::Ipv4 => "198.51.100.0/24",
            Family::Ipv6 => "2001:db8:9::/48",
        };
        outside.serve(family, &outside.web(family).source_range(others), &[outside.scene.pod(1)]);
        expect_silence(&outside.client, balanced);
        for to in [cluster, node_port, external] {
            hold(&outside.client, to, &["p1"]);
        }
        let host = format!("{}/{}", outside.address(family), if balanced.is_ipv4() { 32 } else { 128 });
        outside.scene.put(&outside.web(family).source_range(others).source_range(&host).build());
        expect(&outside.client, balanced, &["p1"]);
        outside.scene.delete("Service", "web");
    });
}

#[test]
fn s24_s25_a_client_outside_is_its_address() {
    from_outside_over_both("affinity", |outside, family| {
        let service = outside.web(family).client_ip_affinity(None);
        let backends = [outside.scene.pod(1), outside.scene.pod(2), &outside.remote];
        outside.serve(family, &service, &backends);
        until("a backend answers", || outside.client.tcp(outside.node_port(family)).is_ok());
        // The backends of one port's frontends agree; TCP and UDP are two ports.
        for transport in [Transport::Tcp, Transport::UdpUnconnected] {
            let mut seen = BTreeSet::new();
            for to in outside.frontends(family) {
                let outcomes = outside.client.dial_all(&Dial::new(transport, to).count(12));
                seen.extend(outcomes.into_iter().map(|outcome| outcome.unwrap().backend().to_owned()));
            }
            assert_eq!(seen.len(), 1, "{transport:?}: {seen:?}");
        }
        outside.scene.delete("Service", "web");
    });
}

#[test]
fn s27_a_pod_elsewhere_reaches_itself_through_this_node() {
    from_outside_over_both("hairpin", |outside, family| {
        outside.serve(family, &outside.web(family), &[&outside.remote]);
        let itself = outside.remote.client().unwrap();
        let to = SocketAddr::new(family.of(&outside.scene.node), NODE_PORT);
        expect(&itself, to, &["far"]);
        assert_eq!(seen(&itself, to), only(family.of(&outside.scene.node)));
        expect(&outside.from_remote, to, &["far"]);
        outside.scene.delete("Service", "web");
    });
}
