//! The firewall by which docs/install.md restricts who may reach the agent's ports.

use std::{
    net::{SocketAddr, TcpStream},
    process::Command,
    time::Duration,
};

use harness::{
    lab::{Netns, typed::Page},
    scene::{Scene, Setup, until},
};
use proxy_userspace::config::{HEALTH_PORT, PAGE_PORT};

use super::{METRICS, nodes};

/// The network that the guide takes as an example.
const EXAMPLE: &str = "192.0.2.0/24";

/// How long a connection may take that nothing drops.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The guide's commands that make the firewall, for this network, and the one that removes it.
fn commands(network: &str) -> (Vec<String>, String) {
    let [make @ .., remove]: [String; 6] =
        Page::Install.commands("A firewall on the node", "nft ").expect("read the guide");
    assert!(make.iter().any(|line| line.contains(EXAMPLE)), "{make:?}");
    (make.iter().map(|line| line.replace(EXAMPLE, network)).collect(), remove)
}

fn type_on_the_node(scene: &Scene, line: &str) {
    let output = scene.node.netns().inside(|| Command::new("sh").args(["-c", line]).output());
    let output = output.expect("enter the node").expect("start a shell");
    assert!(output.status.success(), "{line}: {output:?}");
}

/// Whether the node's port answers to a client there.
fn answers(from: &Netns, node: SocketAddr) -> bool {
    from.inside(|| TcpStream::connect_timeout(&node, TIMEOUT)).expect("enter a namespace").is_ok()
}

/// For each port, whether each address of the node answers there to a client.
fn answering(scene: &Scene, from: &Netns) -> [[bool; 2]; 3] {
    [HEALTH_PORT, METRICS, PAGE_PORT].map(|port| nodes(scene, port).map(|to| answers(from, to)))
}

#[test]
fn the_firewall_of_the_guide_restricts_metrics_and_nothing_else() {
    let scene = Setup::new("ports-fw").build();
    let [reader, other] = ["reader", "other"].map(|name| scene.lab.client(name).expect("add a client"));
    let _waggle = scene.agent(&["--metrics-bind-address=[::]:10249", "--page=[::]:10247"]);
    let all = [[true; 2]; 3];
    for client in [&reader, &other] {
        until("all ports", || answering(&scene, client.netns()) == all);
    }
    let (make, remove) = commands(&format!("{}/32", reader.v4()));
    for line in &make {
        type_on_the_node(&scene, line);
    }
    let (both, none) = ([true; 2], [false; 2]);
    until("health for all", || answering(&scene, other.netns())[0] == both);
    assert_eq!(answering(&scene, other.netns())[1..], [none, none]);
    // Only its IPv4 address is in the rule.
    until("metrics for the reader", || answering(&scene, reader.netns())[..2] == [both, [true, false]]);
    assert_eq!(answering(&scene, reader.netns())[2], none);
    until("all ports for the node itself", || answering(&scene, scene.node.netns()) == all);
    type_on_the_node(&scene, &remove);
    until("all ports", || answering(&scene, other.netns()) == all);
}
