//! Clients in pods whose sockets the node does not own (`--pod-interfaces`): a virtual machine, served at the host end
//! of its device.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{collections::BTreeSet, net::IpAddr, net::SocketAddr, time::Duration};

use harness::{
    lab::{Client, Dial, Kind, Pod, Server, TIMEOUT, Transport},
    scene::{Family, Outside, PORTS, Setup, TRANSPORTS, echo, expect, expect_by, from_outside, over_both, until},
};

/// The bytes of a large transfer.
const MUCH: u64 = 64 << 20;

/// A scene with clients outside, and a virtual machine on its node.
struct Machine<'a> {
    outside: &'a Outside,
    client: Client,
    _server: Server,
    pod: Pod,
}

/// Runs `scenario` in scenes of both modes, over both families. The machine is added after the agent has started.
fn with_machine(name: &str, scenario: impl Fn(&Machine<'_>, Family)) {
    from_outside(Setup::new(name).args(["--pod-interfaces", "pod-vm*"]), |outside| {
        let pod = outside.scene.node.virtual_machine("vm").unwrap();
        let (client, server) = (pod.client().unwrap(), pod.serve(&PORTS).unwrap());
        let machine = Machine { outside, client, _server: server, pod };
        over_both(|family| {
            scenario(&machine, family);
            outside.scene.delete("Service", "web");
        });
    });
}

impl Machine<'_> {
    /// Puts the Service `web` with these backends.
    fn serve(&self, family: Family, backends: &[&Pod]) {
        self.outside.serve(family, &self.outside.web(family), backends);
    }

    /// The addresses that the backends behind `to` see as their client's, over all transports.
    fn seen(&self, to: SocketAddr) -> BTreeSet<IpAddr> {
        let seen = |transport| self.client.dial(&Dial::new(transport, to)).unwrap().seen_client().unwrap().ip();
        TRANSPORTS.into_iter().map(seen).collect()
    }

    /// Waits until the machine gets no response from `to`.
    #[track_caller]
    fn expect_silence(&self, to: SocketAddr) {
        let dial = |transport| self.client.dial(&Dial::new(transport, to).timeout(Duration::from_millis(200)));
        for transport in TRANSPORTS {
            until("silence", || dial(transport).is_err_and(|failure| failure.errno == "ETIMEDOUT"));
        }
    }
}

#[test]
fn s18_a_virtual_machine_reaches_every_frontend() {
    with_machine("vm", |machine, family| {
        let Machine { outside, client, pod, .. } = machine;
        let (near, far) = (outside.scene.pod(1), &outside.remote);
        // Packets that belong to no Service are not changed. This is tested first: a flow of a Service leaves an entry
        // for its replies for a while, and the machine may use that port again.
        for other in [near, far] {
            expect(client, SocketAddr::new(family.of(other), PORTS[0]), &[other.name()]);
        }
        machine.serve(family, &[near, far]);
        for to in outside.frontends(family) {
            expect(client, to, &["p1", "far"]);
        }
        for to in outside.frontends(family) {
            machine.serve(family, &[near]);
            expect(client, to, &["p1"]);
            assert_eq!(machine.seen(to), [family.of(pod)].into(), "S26: {to}");
            machine.serve(family, &[far]);
            expect(client, to, &["far"]);
            assert_eq!(machine.seen(to), [family.of(&outside.scene.node)].into(), "S26: {to}");
        }
    });
}

#[test]
fn s27_a_virtual_machine_reaches_itself_and_is_reached() {
    with_machine("vm-itself", |machine, family| {
        let Machine { outside, client, pod, .. } = machine;
        machine.serve(family, &[pod]);
        for to in outside.frontends(family) {
            expect(client, to, &["vm"]);
            assert_eq!(machine.seen(to), [family.of(&outside.scene.node)].into(), "{to}");
        }
        let to = outside.node_port(family);
        for other in [&outside.client, &outside.from_remote, &outside.scene.from_pod, &outside.scene.from_node] {
            expect(other, to, &["vm"]);
        }
        machine.serve(family, &[pod, outside.scene.pod(1), &outside.remote]);
        expect(client, family.frontend(1), &["vm", "p1", "far"]);
    });
}

#[test]
fn s17_a_virtual_machine_is_a_client_of_this_node() {
    with_machine("vm-local", |machine, family| {
        let Machine { outside, client, .. } = machine;
        let [_, external @ ..] = outside.frontends(family);
        outside.serve(family, &outside.web(family).external_local(), &[&outside.remote]);
        for to in external {
            expect(client, to, &["far"]);
        }
        outside.serve_by(family, &[outside.scene.pod(1), &outside.remote]);
        for to in external {
            expect(client, to, &["p1", "far"]);
        }
    });
}

#[test]
fn s16_s20_s21_a_virtual_machine_is_refused() {
    with_machine("vm-refused", |machine, family| {
        let Machine { outside, client, .. } = machine;
        let [cluster, node_port, external, balanced] = outside.frontends(family);
        machine.serve(family, &[]);
        for to in [cluster, node_port, external, balanced] {
            for transport in [Transport::Tcp, Transport::UdpConnected] {
                expect_by(client, transport, to, &["ECONNREFUSED"]);
            }
        }
        let others = if family == Family::Ipv4 { "198.51.100.0/24" } else { "2001:db8:9::/48" };
        outside.serve(family, &outside.web(family).source_range(others), &[&outside.remote]);
        expect(client, cluster, &["far"]);
        machine.expect_silence(balanced);
        machine.expect_silence(SocketAddr::new(family.cluster_ip(99), 80));
        for transport in [Transport::Tcp, Transport::UdpConnected] {
            expect_by(client, transport, SocketAddr::new(family.cluster_ip(1), 81), &["ECONNREFUSED"]);
        }
        assert!(machine.pod.ping(cluster.ip(), TIMEOUT).unwrap(), "echo");
    });
}

#[test]
fn s28_a_virtual_machine_transfers_much() {
    with_machine("vm-bulk", |machine, family| {
        let Machine { outside, client, .. } = machine;
        let (cluster, node_port) = (family.frontend(1), outside.node_port(family));
        for pod in [outside.scene.pod(1), &outside.remote, &machine.pod] {
            let _echo = (pod.name() == "vm").then(|| echo(pod));
            outside.serve_echo(family, pod);
            for to in [cluster, node_port] {
                client.bulk(to, None, MUCH).unwrap();
                let socket = client.open(if to.is_ipv4() { Kind::Udp4 } else { Kind::Udp6 }, None).unwrap();
                let text: String = ('a'..='z').cycle().take(9000).collect();
                socket.send_to(to, &text).unwrap();
                let message = socket.receive(TIMEOUT).unwrap();
                assert_eq!((message.text.as_str(), message.from), (text.as_str(), Some(to)), "{}", pod.name());
            }
        }
    });
}
