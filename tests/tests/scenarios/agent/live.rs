//! Live changes of a Service (S33): after each change its frontends are served, and no frontends that it had before.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use harness::{
    lab::{Dial, Transport, eventually},
    objects::{ServiceBuilder, SliceBuilder, service},
    scene::{Scene, Setup, WAIT_LIMIT, cluster_ips, dual, slices, until},
};
use serde_json::{Value, json};

/// An address, and whether it is dialled by TCP.
type Target = (bool, SocketAddr);

/// A scene with one Service "web" whose backend is on this node or on another, and all targets that it has had so far.
struct Targets {
    seen: BTreeSet<Target>,
    scene: Scene,
}

fn tcp(targets: impl IntoIterator<Item = SocketAddr>) -> BTreeSet<Target> {
    targets.into_iter().map(|to| (true, to)).collect()
}

fn at(addresses: [&str; 2], port: u16) -> [SocketAddr; 2] {
    addresses.map(|ip| SocketAddr::new(ip.parse().unwrap(), port))
}

const EXTERNAL: [&str; 2] = ["203.0.113.7", "fd00:113::7"];
const BALANCER: [&str; 2] = ["203.0.113.8", "fd00:113::8"];

impl Targets {
    fn new(name: &str) -> Self {
        let scene = Setup::new(name).backends(1).start();
        // The external addresses are on a host that refuses what no Service serves, instead of staying silent.
        let fabric = scene.lab.fabric();
        let add = |ip: &&str| format!("address add {ip}/{} dev lo", if ip.contains(':') { 128 } else { 32 });
        fabric.batch(&EXTERNAL.iter().chain(&BALANCER).map(add).collect::<Vec<_>>()).unwrap();
        let targets = Self { seen: BTreeSet::new(), scene };
        targets.list("main", "TCP", "node");
        targets
    }

    /// Puts the backends under this port name; "p1" has the name of this node or of another.
    fn list(&self, port: &str, protocol: &str, place: &str) {
        let ports = |slice: SliceBuilder| slice.named_port(port, protocol, 8080);
        for slice in slices("web", ports, &[self.scene.pod(1)]) {
            let node = if place == "node" { self.scene.node.name() } else { place };
            self.scene.put(&slice.node(node).build());
        }
    }

    fn node_port(&self, port: u16) -> [SocketAddr; 2] {
        self.scene.node.addresses().map(|ip| SocketAddr::new(ip, port))
    }

    /// Whether a target answers. A wanted answer may take long; silence is believed after a short time.
    fn answers(&self, (is_tcp, to): Target, is_wanted: bool) -> bool {
        let transport = if is_tcp { Transport::Tcp } else { Transport::UdpConnected };
        let limit = Duration::from_millis(if is_wanted { 2000 } else { 250 });
        self.scene.from_pod.dial(&Dial::new(transport, to).timeout(limit)).is_ok()
    }

    /// Puts the Service and waits until exactly `wanted` of all targets so far answer.
    fn change(&mut self, what: &str, web: &ServiceBuilder, wanted: &BTreeSet<Target>) {
        self.scene.put(&web.build());
        self.expect(what, wanted);
    }

    fn expect(&mut self, what: &str, wanted: &BTreeSet<Target>) {
        self.seen.extend(wanted);
        let answers = |to: &Target| self.answers(*to, wanted.contains(to));
        let answering = || -> BTreeSet<Target> { self.seen.iter().copied().filter(answers).collect() };
        let mut last = BTreeSet::new();
        let seen = eventually(WAIT_LIMIT, || {
            last = answering();
            last == *wanted
        });
        assert!(seen, "{what}: {last:?} answer, not {wanted:?}");
        let rows = self.scene.get("services");
        assert_eq!(rows.as_array().unwrap().len(), wanted.len(), "{what}: {rows}");
    }

    /// Removes everything, and checks that the maps are then empty.
    fn end(mut self) {
        self.scene.remove("web");
        self.expect("removed", &BTreeSet::new());
        for map in ["services", "members", "service_names"] {
            until(&format!("{map} is empty"), || self.scene.dump(map) == Vec::<Value>::new());
        }
        assert_eq!(self.scene.get("services"), json!([]));
    }
}

fn web(number: u8) -> ServiceBuilder {
    dual("web", number).named_port("main", "TCP", 80, 8080)
}

#[test]
fn s33_types_change_live() {
    let mut targets = Targets::new("types");
    let internal = tcp(cluster_ips(10, 80));
    let node = &internal | &tcp(targets.node_port(30080));
    let with_node = web(10).node_port(30080);
    let balanced = with_node.clone().kind("LoadBalancer").load_balancer_ip(BALANCER[0]).load_balancer_ip(BALANCER[1]);
    let everything = &node | &tcp(at(BALANCER, 80));
    let external_name = web(10).kind("ExternalName").spec("externalName", "example.org");
    let headless = service("web").headless().named_port("main", "TCP", 80, 8080);
    targets.change("ClusterIP", &web(10), &internal);
    targets.change("to NodePort", &with_node, &node);
    targets.change("to LoadBalancer", &balanced, &everything);
    targets.change("to ExternalName", &external_name, &BTreeSet::new());
    targets.change("back to LoadBalancer", &balanced, &everything);
    targets.change("to ClusterIP", &web(10).kind("ClusterIP"), &internal);
    targets.scene.delete("Service", "web");
    targets.change("headless", &headless, &BTreeSet::new());
    targets.change("NodePort again", &with_node, &node);
    targets.end();
}

#[test]
fn s33_ports_and_protocols_change_live() {
    let mut targets = Targets::new("ports");
    let udp = |targets: [SocketAddr; 2]| targets.into_iter().map(|to| (false, to)).collect::<BTreeSet<Target>>();
    let main = |protocol: &str, port| dual("web", 10).named_port("main", protocol, port, 8080);
    targets.change("port 80", &main("TCP", 80), &tcp(cluster_ips(10, 80)));
    targets.change("port 81", &main("TCP", 81), &tcp(cluster_ips(10, 81)));
    let node = |port| main("TCP", 81).node_port(port);
    targets.change("a node port", &node(30081), &(&tcp(cluster_ips(10, 81)) | &tcp(targets.node_port(30081))));
    targets.change("another", &node(30082), &(&tcp(cluster_ips(10, 81)) | &tcp(targets.node_port(30082))));
    targets.list("main", "UDP", "node");
    targets.change("UDP", &main("UDP", 81), &udp(cluster_ips(10, 81)));
    targets.list("main", "TCP", "node");
    targets.change("TCP again", &main("TCP", 81), &tcp(cluster_ips(10, 81)));
    let two = main("TCP", 81).named_port("extra", "UDP", 53, 8080);
    targets.scene.put(&two.build());
    until("the second port has no backend", || {
        cluster_ips(10, 53)
            .iter()
            .all(|to| targets.scene.from_pod.udp(to).is_err_and(|failure| failure.errno == "ECONNREFUSED"))
    });
    targets.change("one port", &main("TCP", 81), &tcp(cluster_ips(10, 81)));
    // Service and slices are joined by the port's name: with a name in only one of them nothing is served.
    targets.scene.put(&dual("web", 10).named_port("other", "TCP", 81, 8080).build());
    until("a name without slices", || {
        cluster_ips(10, 81)
            .iter()
            .all(|to| targets.scene.from_pod.tcp(to).is_err_and(|failure| failure.errno == "ECONNREFUSED"))
    });
    targets.list("other", "TCP", "node");
    targets.expect("the name in both", &tcp(cluster_ips(10, 81)));
    targets.end();
}

#[test]
fn s33_addresses_change_live() {
    let mut targets = Targets::new("addresses");
    let internal = tcp(cluster_ips(10, 80));
    let external = |ips: &[&str]| ips.iter().fold(web(10), |service, ip| service.external_ip(ip));
    targets.change("none", &web(10), &internal);
    targets.change("externalIPs", &external(&EXTERNAL), &(&internal | &tcp(at(EXTERNAL, 80))));
    let second = tcp(at(EXTERNAL, 80).into_iter().skip(1));
    targets.change("one externalIP", &external(&EXTERNAL[1..]), &(&internal | &second));
    let balanced = |ips: [&str; 2]| {
        web(10).node_port(30080).load_balancer_ip(ips[0]).load_balancer_ip(ips[1]).kind("LoadBalancer")
    };
    let node = &internal | &tcp(targets.node_port(30080));
    targets.change("a load balancer", &balanced(BALANCER), &(&node | &tcp(at(BALANCER, 80))));
    targets.change("another", &balanced(EXTERNAL), &(&node | &tcp(at(EXTERNAL, 80))));
    let proxied = web(10).node_port(30080).kind("LoadBalancer").ingress(json!({"ip": EXTERNAL[0], "ipMode": "Proxy"}));
    targets.change("a proxying one", &proxied, &node);
    targets.scene.delete("Service", "web");
    targets.expect("removed", &BTreeSet::new());
    targets.change("made again with the same ClusterIP", &web(10), &internal);
    targets.change("with another ClusterIP", &web(20), &tcp(cluster_ips(20, 80)));
    let single = service("web").cluster_ip("10.96.0.20").named_port("main", "TCP", 80, 8080);
    targets.change("with one family", &single, &tcp(cluster_ips(20, 80).into_iter().take(1)));
    // Another Service takes the freed address.
    targets.change("away", &web(21), &tcp(cluster_ips(21, 80)));
    targets.scene.put(&dual("heir", 20).named_port("main", "TCP", 80, 8080).build());
    until("the heir refuses", || {
        cluster_ips(20, 80)
            .iter()
            .all(|to| targets.scene.from_pod.tcp(to).is_err_and(|failure| failure.errno == "ECONNREFUSED"))
    });
    targets.scene.remove("heir");
    targets.end();
}

#[test]
fn s33_policies_change_live() {
    let mut targets = Targets::new("policies");
    let base = web(10).node_port(30080);
    let internal = tcp(cluster_ips(10, 80));
    let node = tcp(targets.node_port(30080));
    targets.change("Cluster", &base, &(&internal | &node));
    let policies = |targets: &Targets| {
        let rows = targets.scene.get("services");
        let of = |list: &str| rows.as_array().unwrap().iter().filter(|row| row[list]["policy"] == "Local").count();
        (of("internal"), of("external"))
    };
    targets.list("main", "TCP", "elsewhere");
    let refused = |targets: &Targets, wanted: &str| {
        cluster_ips(10, 80)
            .iter()
            .all(|to| targets.scene.from_pod.tcp(to).is_err_and(|failure| failure.errno == wanted))
    };
    targets.scene.put(&base.clone().internal_local().build());
    until("internal Local, no backend here", || refused(&targets, "EHOSTUNREACH"));
    assert!(node.iter().all(|to| targets.answers(*to, true)), "iTP does not touch node ports");
    targets.list("main", "TCP", "node");
    targets.expect("internal Local, a backend here", &(&internal | &node));
    targets.scene.put(&base.clone().external_local().build());
    until("external Local", || policies(&targets).1 > 0);
    targets.list("main", "TCP", "elsewhere");
    until("external Local, no backend here", || targets.scene.get("services").to_string().contains("\"backends\":[]"));
    targets.expect("short circuit", &(&internal | &node));
    targets.change("Cluster again", &base, &(&internal | &node));
    until("no policy is left", || policies(&targets) == (0, 0));
    targets.end();
}
