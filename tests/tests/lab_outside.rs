//! Packets from outside the node: through XDP and through TC, to backends here and elsewhere. Needs root.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{net::SocketAddr, process::Command};

use harness::{
    lab::{Client, Node, OutsideClient, Pod, Server},
    scene::{Family, Origin, PORTS, Scene, Setup, expect, over_both, web_node_port, web_slice},
};

const NODE_PORT: u16 = 30080;
const MODES: [&str; 2] = ["tc", "xdp"];

/// A scene with another node and a client outside both.
struct Outside {
    client: Client,
    _host: OutsideClient,
    remote: Pod,
    _server: Server,
    _other: Node,
    scene: Scene,
}

/// Native XDP on veth sees packets before anybody fills in checksums: the senders have to.
fn fill_in_checksums(netns: &harness::lab::Netns, device: &str) {
    let run = || Command::new("ethtool").args(["-K", device, "tx", "off", "gro", "on"]).output().unwrap();
    let output = netns.inside(run).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn outside(mode: &str) -> Outside {
    let scene = Setup::new("outside", Origin::Folder).args(["--device-mode", mode]).start();
    let other = scene.lab.node("b").unwrap();
    let remote = other.pod("far").unwrap();
    let server = remote.serve(&PORTS).unwrap();
    let host = scene.lab.client("ext").unwrap();
    for (netns, devices) in [
        (scene.node.netns(), vec!["eth0"]),
        (other.netns(), vec!["eth0", "pod-far"]),
        (host.netns(), vec!["eth0"]),
        (remote.netns(), vec!["eth0"]),
        (scene.lab.fabric(), vec!["to-a", "to-b", "to-ext"]),
    ] {
        devices.into_iter().for_each(|device| fill_in_checksums(netns, device));
    }
    let client = host.client().unwrap();
    Outside { client, _host: host, remote, _server: server, _other: other, scene }
}

fn everywhere(scenario: impl Fn(&Outside, Family)) {
    for mode in MODES {
        println!("by {mode}");
        let outside = outside(mode);
        over_both(|family| scenario(&outside, family));
    }
}

#[test]
fn s19_a_node_port_reaches_backends_here_and_elsewhere() {
    everywhere(|outside, family| {
        let scene = &outside.scene;
        scene.put(&web_node_port("web", [family.cluster_ip(1)], NODE_PORT).build());
        scene.put(&web_slice("web", family).pod(scene.pod(1)).pod(&outside.remote).build());
        let to = SocketAddr::new(family.of(&scene.node), NODE_PORT);
        expect(&outside.client, to, &["p1", "far"]);
        scene.delete("Service", "web");
    });
}
