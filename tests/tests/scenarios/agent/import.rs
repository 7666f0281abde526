//! Connections that another service proxy has translated before the agent's first start.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{
    io::Write as _,
    net::{IpAddr, SocketAddr},
    process::{Command, Stdio},
};

use harness::{
    lab::{Client, Node, Socket},
    scene::{Scene, Setup, dual, remember_datagrams},
};
use proxy_common::{Address, State};
use proxy_userspace::maps::{
    PinFolder,
    flow_table::{FlowMapNames, FlowTable},
};

const NODE_PORT: u16 = 30080;
/// A port that the other proxy translates too, but that is no frontend.
const OTHER_PORT: u16 = 30099;

/// Translates both ports of the node to the pod's port 8080.
fn translate(node: &Node, pod: [IpAddr; 2]) {
    let [v4, v6] = pod;
    let ports = format!("{{ {NODE_PORT}, {OTHER_PORT} }}");
    let rules = format!(
        "table inet elsewhere {{ chain services {{
           type nat hook prerouting priority dstnat
           ip daddr {} meta l4proto {{ tcp, udp }} th dport {ports} dnat ip to {v4}:8080
           ip6 daddr {} meta l4proto {{ tcp, udp }} th dport {ports} dnat ip6 to [{v6}]:8080
         }}
         }}",
        node.v4(),
        node.v6(),
    );
    let load = || {
        let mut nft = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        nft.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
        assert!(nft.wait().unwrap().success(), "{rules}");
    };
    node.netns().inside(load).unwrap();
}

/// Source and destination of a flow as sockets show them, and its protocol.
pub type Ends = (SocketAddr, SocketAddr, u8);

fn ends_of(socket: &Socket<'_>, to: SocketAddr, protocol: u8) -> Ends {
    (socket.names().unwrap().local, to, protocol)
}

/// The foreign flows that the agent has noted.
pub fn foreign(scene: &Scene) -> Vec<Ends> {
    let table = FlowTable::open(&PinFolder::new(&scene.node.instance()), FlowMapNames::ASSURED).unwrap();
    let entries = table.entries().map(Result::unwrap);
    let foreign = entries.filter(|(_, flow)| flow.meta.state() == State::Foreign);
    let end = |address: Address, port| SocketAddr::new(address.into(), port);
    let mut flows: Vec<Ends> = foreign
        .map(|(tuple, _)| {
            let (source, destination) =
                (end(tuple.source, tuple.source_port), (tuple.destination, tuple.destination_port));
            (source, end(destination.0, destination.1), tuple.protocol)
        })
        .collect();
    flows.sort();
    flows
}

fn open(client: &Client, to: SocketAddr, protocol: u8) -> Socket<'_> {
    let socket = if protocol == 6 { client.connect_tcp(to) } else { client.connect_udp(to) }.unwrap();
    assert_eq!(socket.ask("who").unwrap().backend(), "p1", "{to}");
    socket
}

#[test]
fn s31_flows_that_netfilter_translated_before_are_known_and_others_are_not() {
    let scene = Setup::new("import").build();
    let [pod] = scene.add_pods(["p1"]);
    let _server = pod.serve(&[8080]).unwrap();
    let outside = scene.lab.node("b").unwrap();
    let client = outside.client().unwrap();
    translate(&scene.node, pod.addresses());
    remember_datagrams(scene.node.netns(), 3600);

    let mut wanted = Vec::new();
    let mut sockets = Vec::new();
    for protocol in [6, 17] {
        for (node, backend) in scene.node.addresses().into_iter().zip(pod.addresses()) {
            let to = SocketAddr::new(node, NODE_PORT);
            let socket = open(&client, to, protocol);
            wanted.push(ends_of(&socket, to, protocol));
            sockets.push(socket);
            sockets.push(open(&client, SocketAddr::new(node, OTHER_PORT), protocol));
            sockets.push(open(&client, SocketAddr::new(backend, 8080), protocol));
        }
    }
    wanted.sort();

    let service = dual("web", 10).named_port("tcp", "TCP", 80, 8080).node_port(NODE_PORT);
    scene.put(&service.named_port("udp", "UDP", 80, 8080).node_port(NODE_PORT).build());
    let port =
        |slice: harness::objects::SliceBuilder| slice.named_port("tcp", "TCP", 8080).named_port("udp", "UDP", 8080);
    scene.endpoints("web", port, &[&pod]);
    let mut waggle = scene.agent(&["--device-mode", "auto"]);
    assert_eq!(foreign(&scene), wanted);

    // A later start finds its own flows in the maps, and does not look for others.
    let late = open(&client, SocketAddr::new(scene.node.v4().into(), NODE_PORT), 6);
    waggle.kill().unwrap();
    waggle.restart().unwrap();
    assert_eq!(foreign(&scene), wanted);
    drop(late);
}
