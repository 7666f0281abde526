//! A scene with clients outside: a second node with pods, and a client that is no node and reaches Services through
//! the first node. There is one for each device mode.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

use super::{Family, PORTS, SERVICE_CIDRS, Scene, Setup, expect, over_both, until, web_node_port, web_slice};
use crate::{
    lab::{Client, Host, Mode, Node, OutsideClient, Pod, Server},
    objects::{ServiceBuilder, slice},
};

/// Values of `--device-mode` for the node's devices. `auto` serves a veth by TC, as on users' machines; native XDP
/// needs wires that support it.
const MODES: [&str; 2] = ["auto", "xdp"];

/// The node port of every Service that a scene outside makes by [`Outside::serve`].
pub const NODE_PORT: u16 = 30080;

/// The port where pods echo what they are sent.
const ECHO_PORT: u16 = 9000;

/// The networks of externalIPs and load balancers; see [`Family::external_ip`].
const EXTERNAL: [&str; 2] = ["203.0.113.0/24", "2001:db8::/64"];

/// A scene with another node and a client outside both.
#[derive(Debug)]
pub struct Outside {
    /// A process of the client outside.
    pub client: Client,
    /// The client outside.
    pub host: OutsideClient,
    /// A pod of the other node.
    pub remote: Pod,
    /// A process in another pod of the other node.
    pub from_remote: Client,
    _servers: Vec<Server>,
    /// The other node, which has no agent.
    pub other: Node,
    /// The node with the agent.
    pub scene: Scene,
}

impl Outside {
    fn start(mode: &str, setup: Setup) -> Self {
        let setup = setup.backends(2).args(["--device-mode", mode]);
        let scene = if mode == "xdp" { setup.native_xdp() } else { setup }.start();
        let other = scene.lab.node("b").expect("add a node");
        let remote = other.pod("far").expect("add a pod");
        let from_remote = other.pod("shell").and_then(|pod| pod.client()).expect("start a client in a pod");
        let host = scene.lab.client("ext").expect("add a client");
        route_services(&host, &scene.node);
        route_services(&other, &scene.node);
        let serve = |host: &Host| host.serve(&PORTS).expect("serve");
        let servers = vec![serve(&remote), serve(&scene.node), echo(&remote), echo(scene.pod(1))];
        let client = host.client().expect("start a client");
        Self { client, host, remote, from_remote, _servers: servers, other, scene }
    }

    /// The address of node port [`NODE_PORT`] on the node with the agent.
    pub fn node_port(&self, family: Family) -> SocketAddr {
        SocketAddr::new(family.of(&self.scene.node), NODE_PORT)
    }

    /// A Service `web` with cluster address 1, node port [`NODE_PORT`], externalIP 1 and load-balancer IP 2.
    pub fn web(&self, family: Family) -> ServiceBuilder {
        let service = web_node_port("web", [family.cluster_ip(1)], NODE_PORT).kind("LoadBalancer");
        let service = service.external_ip(&family.external_ip(1).to_string());
        service.load_balancer_ip(&family.external_ip(2).to_string())
    }

    /// The Service `web` of both families, and its slices: with a backend on this node, pod 1, and the remote one.
    pub fn web_of_both(&self) -> [Value; 3] {
        let [v4, v6] = Family::BOTH.map(|family| self.web(family));
        let v6 = v6.build();
        let mut both = v4.cluster_ip(&Family::Ipv6.cluster_ip(1).to_string()).build();
        for part in ["/spec/externalIPs", "/status/loadBalancer/ingress"] {
            let more = v6.pointer(part).and_then(Value::as_array).cloned().unwrap_or_default();
            both.pointer_mut(part).and_then(Value::as_array_mut).expect("a list of addresses").extend(more);
        }
        let [slice4, slice6] = Family::BOTH.map(|family| {
            let slice = web_slice("web", family).name(&family.name("web"));
            slice.pod(self.scene.pod(1)).pod(&self.remote).build()
        });
        [both, slice4, slice6]
    }

    /// The Service's frontends: cluster address, node port, externalIP, load-balancer IP.
    pub fn frontends(&self, family: Family) -> [SocketAddr; 4] {
        let external = |number| SocketAddr::new(family.external_ip(number), 80);
        [family.frontend(1), self.node_port(family), external(1), external(2)]
    }

    /// Puts the Service `web` and its backends.
    pub fn serve(&self, family: Family, service: &ServiceBuilder, backends: &[&Pod]) {
        self.serve_by(family, backends);
        self.scene.put(&service.build());
    }

    /// Replaces the backends of `web`.
    pub fn serve_by(&self, family: Family, backends: &[&Pod]) {
        let slice = backends.iter().fold(web_slice("web", family), |slice, pod| slice.pod(pod));
        self.scene.put(&slice.build());
    }

    /// Makes one backend echo what `web` is sent: pod 1 of the scene, the remote one, or one that has an [`echo`].
    pub fn serve_echo(&self, family: Family, pod: &Pod) {
        self.serve(family, &self.web(family), &[pod]);
        expect(&self.client, self.node_port(family), &[pod.name()]);
        self.echo_by(family, pod);
        let to = self.node_port(family);
        until("an echo", || self.client.tcp(to).is_ok_and(|reply| reply.message.text == "hello"));
    }

    /// Makes `pod` the only backend of `web`, at the port where it echoes.
    pub fn echo_by(&self, family: Family, pod: &Pod) {
        let slice = slice("web").address_type(&format!("IPv{}", family.number()));
        let slice = slice.named_port("tcp", "TCP", ECHO_PORT).named_port("udp", "UDP", ECHO_PORT);
        self.scene.put(&slice.pod(pod).build());
    }

    /// The client's address.
    pub fn address(&self, family: Family) -> IpAddr {
        family.of(&self.host)
    }
}

/// Starts a process of `host` that echoes what it is sent, for [`Outside::serve_echo`].
pub fn echo(host: &Host) -> Server {
    let at = host.addresses().map(|address| SocketAddr::new(address, ECHO_PORT));
    host.serve_at(&at, Mode::Echo).expect("echo")
}

/// Makes `host` send packets for Services to `node`.
fn route_services(host: &Host, node: &Node) {
    let ranges = SERVICE_CIDRS.into_iter().chain(EXTERNAL);
    let via = |range: &str| if range.contains('.') { node.v4().to_string() } else { node.v6().to_string() };
    let routes: Vec<_> = ranges.map(|range| format!("route add {range} via {}", via(range))).collect();
    host.netns().batch(&routes).expect("route Services to the node");
}

/// Runs `scenario` in a scene that is served by TC, then in one that is served by native XDP.
pub fn from_outside(setup: impl Into<Setup>, scenario: impl Fn(&mut Outside)) {
    let setup = setup.into();
    for mode in MODES {
        from_outside_by(mode, setup.clone(), &scenario);
    }
}

/// Runs `scenario` in one scene, whose node's devices are served by `mode`.
pub fn from_outside_by(mode: &str, setup: impl Into<Setup>, scenario: impl FnOnce(&mut Outside)) {
    let setup = setup.into();
    println!("{} by {mode}", setup.name());
    scenario(&mut Outside::start(mode, setup));
}

/// Runs `scenario` in both scenes, over both families.
pub fn from_outside_over_both(setup: impl Into<Setup>, scenario: impl Fn(&Outside, Family)) {
    from_outside(setup, |outside| over_both(|family| scenario(outside, family)));
}
