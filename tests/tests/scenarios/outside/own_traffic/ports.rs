//! Source ports on hosts that reserve all ports, or nearly all: nothing is dropped, and no client gets another's
//! replies.

use std::{collections::BTreeMap, fs, net::SocketAddr};

use harness::{
    lab::{LogLine, Netns},
    scene::{Outside, expect, from_outside, over_both, until},
};

fn keep(netns: &Netns, range: &str, reserved: &str) {
    let write = |name: &str, value: &str| fs::write(format!("/proc/sys/net/ipv4/{name}"), value).unwrap();
    let both = || {
        write("ip_local_port_range", range);
        write("ip_local_reserved_ports", reserved);
    };
    netns.inside(both).unwrap();
}

fn is_warning(line: &LogLine) -> bool {
    line.message().starts_with("few ports")
}

/// Clients outside and the node itself reach the same backend, many times, while some connections of each stay.
fn assert_none_is_lost(outside: &Outside, what: &str) {
    over_both(|family| {
        outside.serve(family, &outside.web(family), &[&outside.remote]);
        let (to, direct) = (outside.node_port(family), SocketAddr::new(family.of(&outside.remote), 8080));
        expect(&outside.client, to, &["far"]);
        let clients: Vec<_> = (0..20).map(|_| outside.client.connect_tcp(to).unwrap()).collect();
        let nodes: Vec<_> = (0..20).map(|_| outside.scene.from_node.connect_tcp(direct).unwrap()).collect();
        let all = |count| BTreeMap::from([("far".to_owned(), count)]);
        assert_eq!(outside.client.tally(to, 200), all(200), "clients, {what}, {family:?}");
        assert_eq!(outside.scene.from_node.tally(direct, 100), all(100), "the node, {what}, {family:?}");
        for socket in clients.iter().chain(&nodes) {
            assert_eq!(socket.ask("who").unwrap().backend(), "far", "{what}, {family:?}");
        }
        outside.scene.delete("Service", "web");
    });
}

#[test]
fn w02_hosts_that_keep_all_ports_lose_no_flow() {
    from_outside("ports", |outside| {
        let host = outside.scene.node.netns().clone();
        keep(&host, "1024 65535", "");
        outside.scene.waggle.stop().unwrap();
        outside.scene.waggle.restart().unwrap();
        assert!(outside.scene.waggle.log().since(0).iter().any(is_warning), "it is said");
        assert_none_is_lost(outside, "all");
        for (range, reserved) in [("1024 65000", ""), ("32768 60999", "1024-32767,61000-65535")] {
            keep(&host, range, reserved);
            assert_none_is_lost(outside, &format!("{range:?} and {reserved:?}"));
        }
    });
}

#[test]
fn w02_what_the_host_keeps_is_followed() {
    from_outside("ports-two", |outside| {
        let host = outside.scene.node.netns().clone();
        let said = |text: &str, mark| {
            let is_there =
                || outside.scene.waggle.log().since(mark).iter().any(|line| line.message().starts_with(text));
            until(text, is_there);
        };
        let mark = outside.scene.waggle.log().mark();
        assert!(!outside.scene.waggle.log().since(0).iter().any(is_warning), "there are enough by default");
        keep(&host, "2048 65535", "");
        said("few ports", mark);
        assert_none_is_lost(outside, "few");
        let mark = outside.scene.waggle.log().mark();
        keep(&host, "32768 60999", "");
        said("enough ports", mark);
        assert_none_is_lost(outside, "enough");
    });
}
