//! Devices on top of others that have the node's address: bridge, bond, VLAN.
//!
//! A kernel for development may have neither bonds nor VLANs; the kernels of `cargo xtask vm` have both.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::net::SocketAddr;

use harness::{
    lab::{LogLine, Netns, Transport},
    scene::{Family, NODE_PORT, Outside, Setup, WAIT_LIMIT, expect, expect_by, from_outside_by, over_both},
};

const MUCH: u64 = 4 << 20;

/// A mode of `--device-mode`, and the hook by which a device is served then.
type ModeAndHook = (&'static str, &'static str);

/// TC because the device has no native XDP.
const TC_BY_AUTO: ModeAndHook = ("auto", "tc");
/// TC because it is asked for. The same programs are attached then, so only the bridge is tested with it: in an emulated machine
/// each mode takes its time.
const TC_BY_MODE: ModeAndHook = ("tc", "tc");
const XDP_BY_MODE: ModeAndHook = ("xdp", "xdp");

/// The node port at the device's address.
fn node_port(family: Family) -> SocketAddr {
    let address = if family == Family::Ipv4 { "192.0.2.1" } else { "fd00:52::1" };
    SocketAddr::new(address.parse().unwrap(), NODE_PORT)
}

/// Adds wires between node and client besides the first one: `wire1`, … at both ends.
fn add_wires(outside: &Outside, numbers: &[u8]) {
    let (node, client) = (outside.scene.node.netns(), outside.host.netns());
    for number in numbers {
        let wire = &format!("wire{number}");
        node.batch(&[format!("link add {wire} type veth peer name {wire} netns {}", client.name())]).unwrap();
        outside.scene.lab.finish_wire((node, wire), (client, wire)).unwrap();
    }
}

/// Makes the device `upper` at both ends, with these commands of `ip`.
fn add_upper(outside: &Outside, commands: &[&str]) {
    let add = |netns: &Netns, number: u8| {
        netns.batch(&commands.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        let addresses = [format!("192.0.2.{number}/24"), format!("fd00:52::{number}/64 nodad")];
        let addresses = addresses.map(|address| format!("address add {address} dev upper"));
        netns.batch(&[&["link set dev upper up".into()], &addresses[..]].concat()).unwrap();
    };
    add(outside.scene.node.netns(), 1);
    add(outside.host.netns(), 2);
}

/// The node port is served on `upper`, to a backend on this node and one elsewhere. In each of `modes` it is served by
/// the named hook.
fn is_served(name: &str, modes: &[ModeAndHook], add: impl Fn(&Outside), besides: impl Fn(&Outside, Family)) {
    let setup = Setup::new(name).args(["--nodeport-addresses", "192.0.0.0/8,fd00::/16"]);
    for (mode, hook) in modes {
        from_outside_by(mode, setup.clone(), |outside| {
            add(outside);
            let says = |line: &LogLine, key, value| line.field(key).is_some_and(|field| field == value);
            let served = |line: &_| says(line, "device", "upper") && says(line, "mode", hook);
            outside.scene.waggle.wait_log(WAIT_LIMIT, served).unwrap();
            over_both(|family| {
                let backends = [outside.scene.pod(1), &outside.remote];
                outside.serve(family, &outside.web(family), &backends);
                expect(&outside.client, node_port(family), &["p1", "far"]);
                for pod in backends {
                    outside.serve_echo(family, pod);
                    outside.client.bulk(node_port(family), None, MUCH).unwrap();
                    besides(outside, family);
                }
                outside.serve_by(family, &[]);
                for transport in [Transport::Tcp, Transport::UdpConnected] {
                    expect_by(&outside.client, transport, node_port(family), &["ECONNREFUSED"]);
                }
                outside.scene.delete("Service", "web");
            });
        });
    }
}

#[test]
fn s19_a_bridge_with_the_nodes_address_is_served() {
    let add = |outside: &Outside| {
        add_wires(outside, &[1]);
        add_upper(outside, &["link add upper type bridge mcast_snooping 0", "link set dev wire1 master upper up"]);
    };
    is_served("bridge", &[TC_BY_AUTO, TC_BY_MODE], add, |_, _| ());
}

#[test]
#[ignore = "this kernel may have no VLAN devices: cargo xtask vm runs it"]
fn s19_a_vlan_with_the_nodes_address_is_served() {
    let add = |outside: &Outside| add_upper(outside, &["link add upper link eth0 type vlan id 100"]);
    is_served("vlan", &[TC_BY_AUTO], add, |_, _| ());
}

#[test]
#[ignore = "this kernel may have no VLAN devices: cargo xtask vm runs it"]
fn s19_a_vlan_in_a_vlan_with_the_nodes_address_is_served() {
    let outer = "link add outer link eth0 type vlan proto 802.1ad id 10";
    let inner = "link add upper link outer type vlan id 100";
    let add = |outside: &Outside| add_upper(outside, &[outer, "link set dev outer up", inner]);
    is_served("qinq", &[TC_BY_AUTO], add, |_, _| ());
}

#[test]
#[ignore = "this kernel may have no bonds: cargo xtask vm runs it"]
fn s19_a_bond_with_the_nodes_address_is_served() {
    let add = |outside: &Outside| {
        add_wires(outside, &[1, 2]);
        let ports = ["link set dev wire1 master upper", "link set dev wire2 master upper"];
        add_upper(outside, &["link add upper type bond mode active-backup miimon 20", ports[0], ports[1]]);
    };
    is_served("bond", &[TC_BY_AUTO, XDP_BY_MODE], add, |outside, family| {
        let client = outside.host.netns();
        for wire in ["wire1", "wire2"] {
            client.batch(&[format!("link set dev {wire} down")]).unwrap();
            outside.client.bulk(node_port(family), None, MUCH).unwrap();
            client.batch(&[format!("link set dev {wire} up")]).unwrap();
        }
    });
}
