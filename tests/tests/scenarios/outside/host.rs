//! Packets from outside on nodes of users: with a firewall, masquerading and strict reverse-path checks. Also echo
//! requests, which the node answers for a frontend.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{fs, net::IpAddr, time::Duration};

use harness::{
    lab::Netns,
    scene::{Outside, expect, from_outside, from_outside_over_both, over_both, until},
};

/// Rules of a careful host: packets that netfilter tracks as invalid are dropped, and pods leave the cluster with the
/// node's address.
const FIREWALL: &str = "table inet host {
  chain input { type filter hook input priority filter; policy drop;
    ct state invalid counter drop; ct state established,related accept; iif lo accept; meta l4proto { icmp, ipv6-icmp } accept;
    iifname \"pod-*\" accept; tcp dport { 8080, 9000 } accept; udp dport { 8080, 9000 } accept; }
  chain forward { type filter hook forward priority filter; policy accept;
    ct state invalid counter drop; }
  chain leave { type nat hook postrouting priority srcnat;
    ip saddr 10.244.0.0/16 ip daddr != 10.244.0.0/16 masquerade
    ip6 saddr fd00:10:244::/48 ip6 daddr != fd00:10:244::/48 masquerade; }
}";

/// Sets the reverse-path check of all devices of a namespace.
fn filter_reverse_paths(netns: &Netns, value: &str) {
    let set = || {
        for device in fs::read_dir("/proc/sys/net/ipv4/conf").unwrap() {
            fs::write(device.unwrap().path().join("rp_filter"), value).unwrap();
        }
    };
    netns.inside(set).unwrap();
}

/// Backends on this node, on the other node and on the host serve clients outside, by every frontend, and large
/// transfers pass.
fn everything_works(outside: &Outside) {
    over_both(|family| {
        let pods = [outside.scene.pod(1), &outside.remote];
        outside.serve(family, &outside.web(family), &pods);
        for to in outside.frontends(family) {
            expect(&outside.client, to, &["p1", "far"]);
        }
        for pod in pods {
            outside.serve_echo(family, pod);
            outside.client.bulk(outside.node_port(family), None, 8 << 20).unwrap();
        }
        outside.scene.delete("Service", "web");
    });
}

#[test]
fn s26_it_works_with_a_firewall_that_drops_what_it_does_not_know() {
    from_outside("firewall", |outside| {
        for node in [&outside.scene.node, &outside.other] {
            node.netns().load_rules(FIREWALL).unwrap();
        }
        everything_works(outside);
    });
}

#[test]
fn s26_it_works_with_strict_reverse_path_filters() {
    from_outside("rp-filter", |outside| {
        filter_reverse_paths(outside.scene.node.netns(), "1");
        everything_works(outside);
    });
}

fn answers(outside: &Outside, to: IpAddr) -> bool {
    outside.host.ping(to, Duration::from_millis(200)).unwrap()
}

#[test]
fn a_frontend_answers_echo_requests_as_long_as_it_has_a_backend() {
    from_outside_over_both("echo", |outside, family| {
        let [cluster, node_port, external, balanced] = outside.frontends(family).map(|to| to.ip());
        assert!(answers(outside, node_port), "the node itself");
        for backend in [outside.scene.pod(1), &outside.remote] {
            outside.serve(family, &outside.web(family), &[backend]);
            for to in [cluster, external, balanced] {
                until(&format!("an answer of {to}"), || answers(outside, to));
            }
            assert!(!answers(outside, family.cluster_ip(99)), "an address of no Service");
        }
        outside.serve_by(family, &[]);
        for to in [cluster, external, balanced] {
            until(&format!("no answer of {to}"), || !answers(outside, to));
        }
        assert!(answers(outside, node_port), "the node itself");
        outside.scene.delete("Service", "web");
    });
}
