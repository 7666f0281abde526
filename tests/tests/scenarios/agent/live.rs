//! Live changes of a Service (S33): after each change its frontends are served, and no frontends that it had before.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use harness::{
    lab::{Client, Dial, Manner, Pod, Server, Waggle, eventually},
    objects::{Cluster, ServiceBuilder, SliceBuilder, service},
    stage::{PATIENCE, Stage, cluster_ips, dual, until},
};
use serde_json::{Value, json};

/// An address, and whether it is dialled by TCP.
type Target = (bool, SocketAddr);

/// One Service "web" with a backend on this node or on another, and all targets that it has had so far.
struct Scene {
    _waggle: Waggle,
    client: Client,
    _servers: Vec<Server>,
    pods: [Pod; 2],
    seen: BTreeSet<Target>,
    stage: Stage,
}

fn tcp(targets: impl IntoIterator<Item = SocketAddr>) -> BTreeSet<Target> {
    targets.into_iter().map(|to| (true, to)).collect()
}

fn at(addresses: [&str; 2], port: u16) -> [SocketAddr; 2] {
    addresses.map(|ip| SocketAddr::new(ip.parse().unwrap(), port))
}

const EXTERNAL: [&str; 2] = ["203.0.113.7", "fd00:113::7"];
const BALANCER: [&str; 2] = ["203.0.113.8", "fd00:113::8"];

impl Scene {
    fn new(name: &str) -> Self {
        let stage = Stage::new(name);
        let pods = stage.pods(["b1", "b2"]);
        let [shell] = stage.pods(["c1"]);
        let servers = pods.iter().map(|pod| pod.serve(&[8080]).unwrap()).collect();
        // The external addresses are on a host that refuses what no Service serves, instead of staying silent.
        let fabric = stage.lab.fabric();
        let add = |ip: &&str| format!("address add {ip}/{} dev lo", if ip.contains(':') { 128 } else { 32 });
        fabric.batch(&EXTERNAL.iter().chain(&BALANCER).map(add).collect::<Vec<_>>()).unwrap();
        let waggle = stage.agent(&[]);
        let client = shell.client().unwrap();
        let scene = Self { _waggle: waggle, client, _servers: servers, pods, seen: BTreeSet::new(), stage };
        scene.slices("main", "TCP", "node");
        scene
    }

    /// Puts the backends under this port name; "b1" has the name of this node or of another.
    fn slices(&self, port: &str, protocol: &str, place: &str) {
        let ports = |slice: SliceBuilder| slice.named_port(port, protocol, 8080);
        for slice in harness::stage::slices("web", ports, &[&self.pods[0]]) {
            let node = if place == "node" { self.stage.node.name() } else { place };
            self.stage.folder.put(&slice.node(node).build());
        }
    }

    fn node_port(&self, port: u16) -> [SocketAddr; 2] {
        self.stage.node.addresses().map(|ip| SocketAddr::new(ip, port))
    }

    /// Whether a target answers. A wanted answer may take long; silence is believed after a short time.
    fn answers(&self, (is_tcp, to): Target, is_wanted: bool) -> bool {
        let manner = if is_tcp { Manner::Tcp } else { Manner::UdpConnected };
        let limit = Duration::from_millis(if is_wanted { 2000 } else { 250 });
        self.client.dial(&Dial::new(manner, to).timeout(limit)).is_ok()
    }

    /// Puts the Service and waits until exactly `wanted` of all targets so far answer.
    fn change(&mut self, what: &str, web: &ServiceBuilder, wanted: &BTreeSet<Target>) {
        self.stage.folder.put(&web.build());
        self.expect(what, wanted);
    }

    fn expect(&mut self, what: &str, wanted: &BTreeSet<Target>) {
        self.seen.extend(wanted);
        let answers = |to: &Target| self.answers(*to, wanted.contains(to));
        let answering = || -> BTreeSet<Target> { self.seen.iter().copied().filter(answers).collect() };
        let mut last = BTreeSet::new();
        let seen = eventually(PATIENCE, || {
            last = answering();
            last == *wanted
        });
        assert!(seen, "{what}: {last:?} answer, not {wanted:?}");
        let rows = self.stage.get("services");
        assert_eq!(rows.as_array().unwrap().len(), wanted.len(), "{what}: {rows}");
    }

    /// Removes everything, and checks that the maps are then empty.
    fn end(mut self) {
        self.stage.remove("web");
        self.expect("removed", &BTreeSet::new());
        for map in ["services", "members", "service_names"] {
            until(&format!("{map} is empty"), || self.stage.dump(map) == Vec::<Value>::new());
        }
        assert_eq!(self.stage.get("services"), json!([]));
    }
}

fn web(number: u8) -> ServiceBuilder {
    dual("web", number).named_port("main", "TCP", 80, 8080)
}

#[test]
fn s33_types_change_live() {
    let mut scene = Scene::new("types");
    let internal = tcp(cluster_ips(10, 80));
    let node = &internal | &tcp(scene.node_port(30080));
    let with_node = web(10).node_port(30080);
    let balanced = with_node.clone().kind("LoadBalancer").load_balancer_ip(BALANCER[0]).load_balancer_ip(BALANCER[1]);
    let everything = &node | &tcp(at(BALANCER, 80));
    let external_name = web(10).kind("ExternalName").spec("externalName", "example.org");
    let headless = service("web").headless().named_port("main", "TCP", 80, 8080);
    scene.change("ClusterIP", &web(10), &internal);
    scene.change("to NodePort", &with_node, &node);
    scene.change("to LoadBalancer", &balanced, &everything);
    scene.change("to ExternalName", &external_name, &BTreeSet::new());
    scene.change("back to LoadBalancer", &balanced, &everything);
    scene.change("to ClusterIP", &web(10).kind("ClusterIP"), &internal);
    scene.stage.folder.delete("Service", "default", "web");
    scene.change("headless", &headless, &BTreeSet::new());
    scene.change("NodePort again", &with_node, &node);
    scene.end();
}

#[test]
fn s33_ports_and_protocols_change_live() {
    let mut scene = Scene::new("ports");
    let udp = |targets: [SocketAddr; 2]| targets.into_iter().map(|to| (false, to)).collect::<BTreeSet<Target>>();
    let main = |protocol: &str, port| dual("web", 10).named_port("main", protocol, port, 8080);
    scene.change("port 80", &main("TCP", 80), &tcp(cluster_ips(10, 80)));
    scene.change("port 81", &main("TCP", 81), &tcp(cluster_ips(10, 81)));
    let node = |port| main("TCP", 81).node_port(port);
    scene.change("a node port", &node(30081), &(&tcp(cluster_ips(10, 81)) | &tcp(scene.node_port(30081))));
    scene.change("another", &node(30082), &(&tcp(cluster_ips(10, 81)) | &tcp(scene.node_port(30082))));
    scene.slices("main", "UDP", "node");
    scene.change("UDP", &main("UDP", 81), &udp(cluster_ips(10, 81)));
    scene.slices("main", "TCP", "node");
    scene.change("TCP again", &main("TCP", 81), &tcp(cluster_ips(10, 81)));
    let two = main("TCP", 81).named_port("extra", "UDP", 53, 8080);
    scene.stage.folder.put(&two.build());
    until("the second port has no backend", || {
        cluster_ips(10, 53).iter().all(|to| scene.client.udp(to).is_err_and(|failure| failure.errno == "ECONNREFUSED"))
    });
    scene.change("one port", &main("TCP", 81), &tcp(cluster_ips(10, 81)));
    // Service and slices are joined by the port's name: with a name in only one of them nothing is served.
    scene.stage.folder.put(&dual("web", 10).named_port("other", "TCP", 81, 8080).build());
    until("a name without slices", || {
        cluster_ips(10, 81).iter().all(|to| scene.client.tcp(to).is_err_and(|failure| failure.errno == "ECONNREFUSED"))
    });
    scene.slices("other", "TCP", "node");
    scene.expect("the name in both", &tcp(cluster_ips(10, 81)));
    scene.end();
}

#[test]
fn s33_addresses_change_live() {
    let mut scene = Scene::new("addresses");
    let internal = tcp(cluster_ips(10, 80));
    let external = |ips: &[&str]| ips.iter().fold(web(10), |service, ip| service.external_ip(ip));
    scene.change("none", &web(10), &internal);
    scene.change("externalIPs", &external(&EXTERNAL), &(&internal | &tcp(at(EXTERNAL, 80))));
    let second = tcp(at(EXTERNAL, 80).into_iter().skip(1));
    scene.change("one externalIP", &external(&EXTERNAL[1..]), &(&internal | &second));
    let balanced = |ips: [&str; 2]| {
        web(10).node_port(30080).load_balancer_ip(ips[0]).load_balancer_ip(ips[1]).kind("LoadBalancer")
    };
    let node = &internal | &tcp(scene.node_port(30080));
    scene.change("a load balancer", &balanced(BALANCER), &(&node | &tcp(at(BALANCER, 80))));
    scene.change("another", &balanced(EXTERNAL), &(&node | &tcp(at(EXTERNAL, 80))));
    let proxied = web(10).node_port(30080).kind("LoadBalancer").ingress(json!({"ip": EXTERNAL[0], "ipMode": "Proxy"}));
    scene.change("a proxying one", &proxied, &node);
    scene.stage.folder.delete("Service", "default", "web");
    scene.expect("removed", &BTreeSet::new());
    scene.change("made again with the same ClusterIP", &web(10), &internal);
    scene.change("with another ClusterIP", &web(20), &tcp(cluster_ips(20, 80)));
    let single = service("web").cluster_ip("10.96.0.20").named_port("main", "TCP", 80, 8080);
    scene.change("with one family", &single, &tcp(cluster_ips(20, 80).into_iter().take(1)));
    // Another Service takes the freed address.
    scene.change("away", &web(21), &tcp(cluster_ips(21, 80)));
    scene.stage.folder.put(&dual("heir", 20).named_port("main", "TCP", 80, 8080).build());
    until("the heir refuses", || {
        cluster_ips(20, 80).iter().all(|to| scene.client.tcp(to).is_err_and(|failure| failure.errno == "ECONNREFUSED"))
    });
    scene.stage.remove("heir");
    scene.end();
}

#[test]
fn s33_policies_change_live() {
    let mut scene = Scene::new("policies");
    let base = web(10).node_port(30080);
    let internal = tcp(cluster_ips(10, 80));
    let node = tcp(scene.node_port(30080));
    scene.change("Cluster", &base, &(&internal | &node));
    let policies = |scene: &Scene| {
        let rows = scene.stage.get("services");
        let of = |list: &str| rows.as_array().unwrap().iter().filter(|row| row[list]["policy"] == "Local").count();
        (of("internal"), of("external"))
    };
    scene.slices("main", "TCP", "elsewhere");
    let refused = |scene: &Scene, wanted: &str| {
        cluster_ips(10, 80).iter().all(|to| scene.client.tcp(to).is_err_and(|failure| failure.errno == wanted))
    };
    scene.stage.folder.put(&base.clone().internal_local().build());
    until("internal Local, no backend here", || refused(&scene, "EHOSTUNREACH"));
    assert!(node.iter().all(|to| scene.answers(*to, true)), "iTP does not touch node ports");
    scene.slices("main", "TCP", "node");
    scene.expect("internal Local, a backend here", &(&internal | &node));
    scene.stage.folder.put(&base.clone().external_local().build());
    until("external Local", || policies(&scene).1 > 0);
    scene.slices("main", "TCP", "elsewhere");
    until("external Local, no backend here", || scene.stage.get("services").to_string().contains("\"backends\":[]"));
    scene.expect("short circuit", &(&internal | &node));
    scene.change("Cluster again", &base, &(&internal | &node));
    until("no policy is left", || policies(&scene) == (0, 0));
    scene.end();
}
