//! The addresses at which health checks are answered.

use std::{
    io,
    net::{IpAddr, TcpListener, TcpStream},
};

use harness::scene::{Setup, until};

use super::{PORT, TIMEOUT, ask, asked_at, balanced, expect, nodes, put};

#[test]
fn n06_load_balancers_ask_at_their_own_address() {
    for mode in ["tc", "xdp"] {
        ask_at_the_balancers_address(&format!("health-{mode}"), mode);
    }
}

/// Asks on a device with programs, which see every packet first. They send nothing, so a plain veth will do for XDP.
fn ask_at_the_balancers_address(name: &str, mode: &str) {
    let scene = Setup::new(name).build();
    let [a] = scene.add_pods(["a1"]);
    let client = scene.lab.client("lb").expect("make a client");
    let balancer: IpAddr = "203.0.113.10".parse().expect("an address");
    scene.node.netns().batch(&[format!("route add local {balancer} dev eth0")]).expect("add a route");
    client.netns().batch(&[format!("route add {balancer} via {}", scene.node.v4())]).expect("add a route");
    scene.put(&asked_at(balanced("web", 10), PORT));
    put(&scene, "web", &[&a], |slice| slice);
    let _waggle = scene.agent(&["--device-mode", mode, "--devices", "eth0"]);
    expect(&scene, client.netns(), 1);
    // Other ports of the address are left to the host (S20).
    let host = scene.node.netns().inside(|| TcpListener::bind(("0.0.0.0", PORT + 1)));
    let _host = host.expect("enter the node").expect("listen beside the agent");
    for netns in [client.netns(), a.netns(), scene.node.netns()] {
        until("an answer", || ask(netns, (balancer, PORT).into()).is_ok_and(|(status, ..)| status == 200));
        let connect = |port| netns.inside(|| TcpStream::connect_timeout(&(balancer, port).into(), TIMEOUT));
        let [open, closed] = [PORT + 1, PORT + 2].map(|port| connect(port).expect("enter the namespace"));
        open.expect("the host's own port answers");
        assert!(closed.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused));
    }
}

#[test]
fn n08_only_the_chosen_addresses_answer() {
    let scene = Setup::new("health-at").build();
    let [a] = scene.add_pods(["a1"]);
    let client = scene.lab.client("lb").unwrap();
    scene.put(&asked_at(balanced("web", 10), PORT));
    put(&scene, "web", &[&a], |slice| slice);
    let [v4, v6] = nodes(&scene, PORT);
    let _waggle = scene.agent(&["--nodeport-addresses", &format!("{}/32", v4.ip())]);
    until("an answer", || ask(client.netns(), v4).is_ok_and(|(status, ..)| status == 200));
    assert!(ask(client.netns(), v6).is_err());
    assert!(ask(scene.node.netns(), ([127, 0, 0, 1], PORT).into()).is_err());
}

#[test]
fn n06_the_chosen_addresses_are_not_the_load_balancers() {
    let scene = Setup::new("health-lb").build();
    let [a] = scene.add_pods(["a1"]);
    let client = scene.lab.client("lb").unwrap();
    let [balancer, other]: [IpAddr; 2] = ["203.0.113.10", "203.0.113.11"].map(|address| address.parse().unwrap());
    for address in [balancer, other] {
        scene.node.netns().batch(&[format!("route add local {address} dev eth0")]).unwrap();
        client.netns().batch(&[format!("route add {address} via {}", scene.node.v4())]).unwrap();
    }
    scene.put(&asked_at(balanced("web", 10), PORT));
    put(&scene, "web", &[&a], |slice| slice);
    let [v4, _] = nodes(&scene, PORT);
    let _waggle = scene.agent(&["--nodeport-addresses", "192.0.2.0/24"]);
    until("an answer", || ask(client.netns(), (balancer, PORT).into()).is_ok_and(|(status, ..)| status == 200));
    for refused in [(other, PORT).into(), v4] {
        assert!(ask(client.netns(), refused).is_err(), "{refused}");
    }
}
