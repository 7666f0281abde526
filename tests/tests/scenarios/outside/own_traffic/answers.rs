//! Connections to a server outside, from ports and addresses that Services have, too: the replies reach the node's
//! sockets.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
};

use harness::{
    lab::{Client, Kind, Mode, Netns, Server, Socket as Held},
    packet::tcp,
    scene::{Family, NODE_PORT, Outside, expect, from_outside_over_both, send_raw, until, web_slice},
};

/// The server has a port for each connection, so that none has to wait until another has ended.
const SERVER_PORTS: [u16; 6] = [9100, 9101, 9102, 9103, 9104, 9105];

fn kinds(family: Family) -> [Kind; 2] {
    match family {
        Family::Ipv4 => [Kind::Tcp4, Kind::Udp4],
        Family::Ipv6 => [Kind::Tcp6, Kind::Udp6],
    }
}

/// An echo server on the client outside.
fn server(outside: &Outside, family: Family) -> Server {
    let at = SERVER_PORTS.map(|port| SocketAddr::new(outside.address(family), port));
    outside.host.serve_at(&at, Mode::Echo).unwrap()
}

/// The socket gets several replies from its peer.
fn converses(socket: &Held<'_>, what: &str) {
    for word in ["one", "two", "three"] {
        let answer = socket.ask(word);
        assert_eq!(answer.as_ref().map(|message| message.text.as_str()), Ok(word), "{what}");
    }
}

/// Connects from `from` to the server, bound to `own` if that is given, and checks that it gets replies.
fn asks(from: &Client, kind: Kind, own: Option<SocketAddr>, to: SocketAddr) {
    let what = format!("{kind:?} from {own:?} to {to}");
    let socket = from.open(kind, own).unwrap_or_else(|failure| panic!("{what}: {failure:?}"));
    socket.connect(to).unwrap_or_else(|failure| panic!("{what}: {failure:?}"));
    converses(&socket, &what);
}

/// Checks that a datagram socket gets replies that is not connected.
fn asks_unconnected(from: &Client, kind: Kind, own: SocketAddr, to: SocketAddr) {
    let socket = from.open(kind, Some(own)).unwrap();
    for word in ["one", "two", "three"] {
        socket.send_to(to, word).unwrap();
        let answer = socket.receive(harness::lab::TIMEOUT).unwrap();
        assert_eq!((answer.text.as_str(), answer.from), (word, Some(to)), "from {own}");
    }
}

/// Makes packets of pod 1 to the server's `ports` leave from `own`.
fn masquerade(outside: &Outside, family: Family, own: SocketAddr, port: u16) {
    let (ip, pod, server) =
        (if family == Family::Ipv4 { "ip" } else { "ip6" }, outside.scene.pod(1), outside.address(family));
    let rules = format!(
        "table {ip} whose {{ chain leave {{ type nat hook postrouting priority srcnat;
          {ip} saddr {} {ip} daddr {server} meta l4proto {{ tcp, udp }} th dport {port} snat to {own}; }}; }}",
        family.of(pod)
    );
    outside.scene.node.netns().load_rules(&rules).unwrap();
}

/// Puts the Service `web`, with a backend on the other node, and `shared`, whose address is the node's own.
fn serve(outside: &Outside, family: Family) {
    outside.serve(family, &outside.web(family), &[&outside.remote]);
    let own: IpAddr = family.of(&outside.scene.node);
    let shared = harness::scene::web("shared", [family.cluster_ip(7)]).external_ip(&own.to_string());
    outside.scene.put(&web_slice("shared", family).pod(&outside.remote).build());
    outside.scene.put(&shared.build());
    served(outside, family);
}

/// Checks that clients reach the Services.
fn served(outside: &Outside, family: Family) {
    let shared = SocketAddr::new(family.of(&outside.scene.node), 80);
    for to in [outside.node_port(family), SocketAddr::new(family.external_ip(1), 80), shared] {
        until(&format!("an answer at {to}"), || outside.client.tcp(to).is_ok());
        expect(&outside.client, to, &["far"]);
    }
}

fn remove(outside: &Outside) {
    outside.scene.delete("Service", "web");
    outside.scene.delete("Service", "shared");
}

#[test]
fn w03_the_nodes_own_connections_are_answered_from_service_ports() {
    from_outside_over_both("whose-node", |outside, family| {
        let _server = server(outside, family);
        serve(outside, family);
        let (node, [tcp, udp]) = (outside.scene.node.client().unwrap(), kinds(family));
        let own = |port| SocketAddr::new(family.of(&outside.scene.node), port);
        let to = |number: usize| SocketAddr::new(outside.address(family), SERVER_PORTS[number]);
        for (number, port) in [NODE_PORT, 80].into_iter().enumerate() {
            asks(&node, tcp, Some(own(port)), to(number));
            asks(&node, udp, Some(own(port)), to(number));
            asks_unconnected(&node, udp, own(port), to(number + 2));
        }
        served(outside, family);
        remove(outside);
    });
}

#[test]
fn w03_masqueraded_pods_are_answered_at_service_ports() {
    from_outside_over_both("whose-pod", |outside, family| {
        let _server = server(outside, family);
        serve(outside, family);
        let (pod, node) = (outside.scene.pod(1).client().unwrap(), family.of(&outside.scene.node));
        // The last address is not the node's: only a packet that has left tells that a reply is expected there.
        let ends = [(node, NODE_PORT), (node, 80), (family.external_ip(1), 80)];
        for (number, (address, port)) in ends.into_iter().enumerate() {
            masquerade(outside, family, SocketAddr::new(address, port), SERVER_PORTS[number]);
        }
        for port in &SERVER_PORTS[..ends.len()] {
            for kind in kinds(family) {
                asks(&pod, kind, None, SocketAddr::new(outside.address(family), *port));
            }
        }
        served(outside, family);
        remove(outside);
    });
}

/// How many SYNs for open connections the stack has got, and answered with an acknowledgment (RFC 5961).
fn challenges(netns: &Netns) -> u64 {
    let text = netns.inside(|| fs::read_to_string("/proc/thread-self/net/netstat")).unwrap().unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let mut pairs = names.split(' ').zip(values.split(' '));
    pairs.find_map(|(name, value)| (name == "TCPSYNChallenge").then(|| value.parse().unwrap())).unwrap()
}

#[test]
fn s39_a_forged_syn_cuts_no_connection_of_the_nodes_own() {
    from_outside_over_both("whose-syn", |outside, family| {
        let server = server(outside, family);
        serve(outside, family);
        let (node, netns) = (outside.scene.node.client().unwrap(), outside.scene.node.netns());
        let own = SocketAddr::new(family.of(&outside.scene.node), 80);
        let to = SocketAddr::new(outside.address(family), SERVER_PORTS[0]);
        let socket = node.open(kinds(family)[0], Some(own)).unwrap();
        socket.connect(to).unwrap();
        converses(&socket, "before");
        let before = challenges(netns);
        send_raw(outside.host.netns(), family, &tcp(to, own).syn());
        until("the SYN at the connection's socket", || challenges(netns) > before);
        converses(&socket, "after a forged SYN");
        drop((socket, server));
        // The note outlives the connection, but a client that dials from the server's port still reaches the Service.
        let again = outside.client.open(kinds(family)[0], Some(to)).unwrap();
        again.connect(own).unwrap();
        assert_eq!(again.ask("who").unwrap().backend(), "far", "by the Service");
        served(outside, family);
        remove(outside);
    });
}
