//! Nodes that are containers (kind, k3d, minikube, LXD): each is joined to a bridge by a veth, whose other end is not
//! prepared for native XDP.

use std::net::SocketAddr;

use harness::{
    lab::{Node, TIMEOUT, Transport, Waggle},
    objects::lab_node,
    scene::{
        Family, NODE_PORT, Outside, SERVICE_CIDRS, Setup, WAIT_LIMIT, expect, expect_by, from_outside, from_outside_by,
        over_both, until,
    },
};
use serde_json::json;

use super::*;

/// The bytes that a client sends and receives.
const BULK: u64 = 10 << 20;

/// Starts an agent for the other node, which reads the same objects.
fn agent_of_other(outside: &Outside, state: &str) -> Waggle {
    outside.scene.put(&lab_node(&outside.other).build());
    let command = outside.other.waggle(&outside.scene.objects.source());
    command.allocating(&SERVICE_CIDRS.join(","), state).args(["--devices", "auto"]).start().unwrap()
}

fn node_port_of(node: &Node, family: Family) -> SocketAddr {
    SocketAddr::new(family.of(node), NODE_PORT)
}

/// Serves all frontends that a client outside can dial, with backends on both nodes.
fn serves_everything(outside: &Outside, family: Family) {
    outside.serve(family, &outside.web(family), &[outside.scene.pod(1), &outside.remote]);
    let mut frontends = outside.frontends(family).to_vec();
    frontends.push(node_port_of(&outside.other, family));
    for to in frontends {
        expect(&outside.client, to, &["p1", "far"]);
    }
    let unserved = SocketAddr::new(family.cluster_ip(1), 81);
    for transport in [Transport::Tcp, Transport::UdpConnected] {
        expect_by(&outside.client, transport, unserved, &["ECONNREFUSED"]);
    }
    assert!(outside.host.ping(family.cluster_ip(1), TIMEOUT).unwrap(), "ping of a ClusterIP");
    transfers_much(outside, family);
    outside.scene.delete("Service", "web");
}

fn transfers_much(outside: &Outside, family: Family) {
    for pod in [outside.scene.pod(1), &outside.remote] {
        outside.serve_echo(family, pod);
        for to in outside.frontends(family) {
            outside.client.bulk(to, None, BULK).unwrap();
        }
    }
}

#[test]
fn w04_nodes_joined_by_veths_serve_by_default_flags() {
    from_outside_by("auto", Setup::new("kind").args(["--devices", "auto"]), |outside| {
        let line = outside.scene.waggle.wait_log(WAIT_LIMIT, is_about("eth0")).unwrap();
        assert!(line.message().contains("served by TC") && line.field("mode").unwrap() == "tc", "{line:?}");
        assert!(line.field("reason").unwrap().as_str().unwrap().contains("veth"), "{line:?}");
        let folder = std::env::temp_dir().join(format!("{}-other.json", outside.scene.lab.id()));
        let other = agent_of_other(outside, folder.to_str().unwrap());
        over_both(|family| serves_everything(outside, family));
        drop(other);
        let _ = std::fs::remove_file(folder);
    });
}

/// The far ends of the wires have programs, but senders still leave checksums pending.
#[test]
fn w04_native_xdp_leaves_unfinished_packets_to_tc() {
    from_outside("pending", |outside| {
        for host in [outside.scene.node.netns(), outside.other.netns(), outside.host.netns()] {
            output(host, "ethtool -K eth0 tx on");
        }
        for pod in [outside.scene.pod(1), &outside.remote] {
            output(pod.netns(), "ethtool -K eth0 tx on");
        }
        over_both(|family| {
            outside.serve(family, &outside.web(family), &[outside.scene.pod(1), &outside.remote]);
            for to in outside.frontends(family) {
                expect(&outside.client, to, &["p1", "far"]);
            }
            transfers_much(outside, family);
            outside.scene.delete("Service", "web");
        });
    });
}

#[test]
fn w04_native_xdp_is_taken_from_a_veth_unless_asked_for() {
    let scene = Setup::new("veth-mode").build();
    let why = || {
        let row = device_row(&scene.get("devices"), "eth0")?;
        Some((row["mode"].as_str()?.to_owned(), row["why"].as_str()?.to_owned()))
    };
    let hooks = || output(scene.node.netns(), "bpftool --json net");
    let mut asked = scene.agent(&["--device-mode", "xdp"]);
    let (mode, reason) = why().unwrap();
    assert!(mode == "xdp" && reason.contains("packets that it sends are lost"), "{mode} {reason}");
    let line = asked.wait_log(WAIT_LIMIT, is_about("eth0")).unwrap();
    assert!(line.field("level").unwrap() == "WARN" && line.message().contains("is lost"), "{line:?}");
    let reason = line.field("reason").unwrap().as_str().unwrap();
    assert!(reason.contains("has no native XDP program"), "{reason}");

    // When the other end supports native XDP nothing is lost any more, and that is logged, too.
    scene.lab.native_xdp().unwrap();
    scene.lab.finish_wire((scene.node.netns(), "eth0"), (scene.lab.fabric(), "to-a")).unwrap();
    ip(scene.node.netns(), &["link set dev eth0 alias ready"]);
    until("a ready veth", || why().unwrap() == ("xdp".to_owned(), "--device-mode".to_owned()));
    asked.wait_log(WAIT_LIMIT, |line| line.message() == "device served").unwrap();

    // XDP that an older agent has left on a veth is detached.
    asked.kill().unwrap();
    let chosen = scene.agent(&["--device-mode", "auto"]);
    assert_eq!(
        why().unwrap(),
        ("tc".to_owned(), "packets that native XDP sends from such a device may be lost".to_owned())
    );
    assert_eq!(serde_json::from_str::<Value>(&hooks()).unwrap()[0]["xdp"], json!([]));
    assert_eq!(chosen.log().since(0).iter().filter(|line| is_about("eth0")(line)).count(), 1, "one line a device");
}
