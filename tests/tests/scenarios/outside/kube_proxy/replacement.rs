//! The take-over beside kube-proxy itself, while it runs, and the way back, as deploy/README.md says both.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use harness::{
    lab::{Client, Node, START, Socket, Transport},
    scene::{
        Family, NODE_PORT, Origin, Outside, Setup, TRANSPORTS, expect_by, from_outside_by, remember_datagrams, until,
        web_slice,
    },
};
use nix::sys::signal::Signal;

use super::{
    FIRST_PORT, LONGER_THAN_A_SCENARIO, NOTHING, assert_backends_answer, cleaned, cleanup, connect,
    ends_with_the_connections, planned,
    program::{KubeProxy, Mode},
    remove_waggle,
    virtual_servers::forget_datagrams,
};
use crate::health::METRICS;

/// Connections with the backends that they have.
type Open<'a> = Vec<(Socket<'a>, String)>;

fn open<'a>(client: &'a Client, frontends: &[SocketAddr]) -> Open<'a> {
    let sockets = (FIRST_PORT..).zip(frontends).flat_map(|(port, to)| connect(client, *to, port));
    let with_backend = |socket: Socket<'a>| {
        let backend = socket.ask("who").unwrap_or_else(|failure| panic!("{failure:?}: {:?}", socket.names()));
        (socket, backend.backend().to_owned())
    };
    sockets.map(with_backend).collect()
}

/// What is dialled from outside, and what from a pod.
fn dialled(outside: &Outside) -> [Vec<SocketAddr>; 2] {
    let node_port = |family: Family| SocketAddr::new(family.of(&outside.scene.node), NODE_PORT);
    let from_pod = Family::BOTH.map(|family| [family.frontend(1), node_port(family)]);
    [Family::BOTH.map(|family| outside.frontends(family)).concat(), from_pod.concat()]
}

/// Waits until new conversations over these transports reach these backends.
fn served_by(outside: &Outside, transports: &[Transport], names: &[&str]) {
    for (family, transport) in
        Family::BOTH.into_iter().flat_map(|family| transports.iter().map(move |it| (family, *it)))
    {
        let [cluster_ip, node_port, external, _] = outside.frontends(family);
        for to in [node_port, external] {
            expect_by(&outside.client, transport, to, names);
        }
        expect_by(&outside.scene.from_pod, transport, cluster_ip, names);
    }
}

/// The mode of what answers at the metrics port.
fn mode_page(outside: &Outside) -> Option<String> {
    let ask = || -> io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", METRICS))?;
        // Of this version a response ends with the connection.
        stream.write_all(b"GET /proxyMode HTTP/1.0\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map(|_| text)
    };
    let text = outside.scene.node.netns().inside(ask).ok()?.ok()?;
    text.rsplit("\r\n\r\n").next().map(str::to_owned)
}

/// Removes all that kube-proxy has left. Its connections go on until they end.
fn remove(kube_proxy: &KubeProxy, node: &Node, sockets: Open<'_>) {
    let netns = node.netns();
    let before = kube_proxy.mode().listing(netns);
    planned(node);
    assert_eq!(kube_proxy.mode().listing(netns), before, "after a dry run");
    println!("{}", cleaned(node, &[]));
    assert_backends_answer(&sockets, "after the clean-up");
    if kube_proxy.mode() == Mode::Ipvs {
        let kept = cleaned(node, &[]);
        assert!(kept.lines().any(|line| line.contains("virtual servers with ")), "{kept}");
        forget_datagrams(netns);
    }
    ends_with_the_connections(node, sockets);
}

fn scenario(kube_proxy: &KubeProxy, outside: &mut Outside) {
    let (mode, netns) = (kube_proxy.mode(), outside.scene.node.netns().clone());
    remove_waggle(outside);
    mode.install_others(&netns);
    let others = mode.listing(&netns);
    outside.web_of_both().iter().for_each(|object| outside.scene.put(object));
    let mut process = kube_proxy.start(outside);
    remember_datagrams(&netns, LONGER_THAN_A_SCENARIO);
    // netfilter remembers a flow of UDP for minutes, and would keep it translated for so long.
    served_by(outside, &[Transport::Tcp], &["far", "p1"]);
    let [from_outside, from_pod] = dialled(outside);
    let mut sockets = open(&outside.client, &from_outside);
    sockets.extend(open(&outside.scene.from_pod, &from_pod));

    outside.scene.waggle.restart().unwrap();
    assert_backends_answer(&sockets, "after the start");
    // Both follow the change.
    for family in Family::BOTH {
        let slice = web_slice("web", family).name(&family.name("web"));
        let slice = slice.pod(&outside.remote).pod(outside.scene.pod(1)).pod(outside.scene.pod(2));
        outside.scene.put(&slice.build());
    }
    served_by(outside, &TRANSPORTS, &["far", "p1", "p2"]);
    assert_backends_answer(&sockets, "beside new connections");
    assert_eq!(mode_page(outside).as_deref(), Some(mode.name()));
    let (success, text) = cleanup(&outside.scene.node, &["--kube-proxy"]);
    assert!(!success && text.contains(&format!("it is running (process {})", process.id())), "{text}");

    process.signal(Signal::SIGTERM).unwrap();
    process.wait(START).unwrap();
    until("the metrics port is taken over", || mode_page(outside).as_deref() == Some("ebpf"));
    remove(kube_proxy, &outside.scene.node, sockets);
    assert_eq!(mode.listing(&netns), others);
    served_by(outside, &TRANSPORTS, &["far", "p1", "p2"]);
    back(kube_proxy, outside);
    assert_eq!(mode.listing(&netns), others);
}

/// The way back: kube-proxy's rules first, then Waggle goes. At last kube-proxy goes, too.
fn back(kube_proxy: &KubeProxy, outside: &mut Outside) {
    let mut process = kube_proxy.start(outside);
    served_by(outside, &TRANSPORTS, &["far", "p1", "p2"]);
    let mut sockets = open(&outside.scene.from_pod, &dialled(outside)[1]);
    outside.scene.waggle.stop().unwrap();
    let (success, text) = cleanup(&outside.scene.node, &["--instance", &outside.scene.node.instance()]);
    assert!(success && text.starts_with("removed "), "{text}");
    assert_backends_answer(&sockets, "without Waggle");
    sockets.clear();
    served_by(outside, &TRANSPORTS, &["far", "p1", "p2"]);
    until("the metrics port is taken back", || mode_page(outside).as_deref() == Some(kube_proxy.mode().name()));
    process.kill().unwrap();
    cleaned(&outside.scene.node, &["--force"]);
    until("nothing is left", || cleaned(&outside.scene.node, &["--force"]) == NOTHING);
}

fn run(mode: Mode) {
    if let Some(kube_proxy) = KubeProxy::find(mode) {
        let setup = Setup::new("kube-proxy").origin(Origin::Api);
        from_outside_by("auto", setup, |outside| scenario(&kube_proxy, outside));
    }
}

#[test]
fn s31_kube_proxy_by_nftables_is_replaced_while_it_runs_and_comes_back() {
    run(Mode::Nftables);
}

#[test]
fn s31_kube_proxy_by_iptables_is_replaced_while_it_runs_and_comes_back() {
    for variant in ["nft", "legacy"] {
        run(Mode::Iptables(variant));
    }
}

#[test]
fn s31_kube_proxy_by_ipvs_is_replaced_while_it_runs_and_comes_back() {
    run(Mode::Ipvs);
}
