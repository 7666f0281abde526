//! The clients of a load-balancer IP (S21), by sockets.

use std::net::{IpAddr, SocketAddr};

use harness::{
    lab::Client,
    objects::{ServiceBuilder, lab_node},
    scene::{Family, Scene, expect, from_both_over_both, hold, web, web_slice},
};
use serde_json::json;

const DROPPED: &[&str] = &["EHOSTUNREACH"];
const SERVED: &[&str] = &["p1"];

/// A Service with an externalIP and a load-balancer IP, and these addresses.
struct Filtered<'a> {
    scene: &'a Scene,
    family: Family,
    service: ServiceBuilder,
}

impl Filtered<'_> {
    fn at(&self, number: u8) -> SocketAddr {
        SocketAddr::new(self.family.external_ip(number), 80)
    }

    fn allow(&self, ranges: &[String]) {
        self.scene.put(&self.service.clone().spec("loadBalancerSourceRanges", json!(ranges)).build());
    }

    /// Waits until the load balancer's address has these outcomes for the node and for the pod, and all others serve.
    #[track_caller]
    fn check(&self, from_node: &[&str], from_pod: &[&str]) {
        let clients: [(&Client, &[&str]); 2] = [(&self.scene.from_node, from_node), (&self.scene.from_pod, from_pod)];
        for (client, wanted) in clients {
            expect(client, self.at(2), wanted);
            hold(client, self.at(1), SERVED);
            hold(client, self.family.frontend(10), SERVED);
        }
    }
}

/// The prefix of one address.
fn host(address: IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 })
}

/// The Node object with `spec.podCIDRs`.
fn put_node(scene: &Scene, pods: &[String]) {
    let mut node = lab_node(&scene.node).build();
    node["spec"]["podCIDRs"] = json!(pods);
    scene.put(&node);
}

#[test]
fn s21_only_the_load_balancers_address_is_filtered_and_sockets_count_by_where_they_are() {
    from_both_over_both("s21", |scene, family| {
        let name = family.name("web");
        let (external, balanced) = (family.external_ip(1).to_string(), family.external_ip(2).to_string());
        let service = web(&name, [family.cluster_ip(10)]).kind("LoadBalancer").external_ip(&external);
        let filtered = Filtered { scene, family, service: service.load_balancer_ip(&balanced) };
        let (elsewhere, other_family) = match family {
            Family::Ipv4 => ("198.51.100.0/24", "2001:db8:9::/48"),
            Family::Ipv6 => ("2001:db8:9::/48", "198.51.100.0/24"),
        };
        let (node, pod) = (host(family.of(&scene.node)), host(family.of(&scene.client)));
        scene.put(&web_slice(&name, family).pod(scene.pod(1)).build());
        put_node(scene, &[]);
        filtered.allow(&[]);
        filtered.check(SERVED, SERVED);
        filtered.allow(&[elsewhere.to_owned()]);
        filtered.check(DROPPED, DROPPED);
        filtered.allow(&[other_family.to_owned()]);
        filtered.check(SERVED, SERVED);
        filtered.allow(&[node]);
        filtered.check(SERVED, DROPPED);
        // The addresses of the node's pods are known only once the Node object has them.
        filtered.allow(std::slice::from_ref(&pod));
        filtered.check(DROPPED, DROPPED);
        put_node(scene, std::slice::from_ref(&pod));
        filtered.check(DROPPED, SERVED);
        put_node(scene, &[pod, elsewhere.to_owned()]);
        filtered.check(DROPPED, DROPPED);
        filtered.allow(&[]);
        filtered.check(SERVED, SERVED);
    });
}

#[test]
fn s21_drop_wins_over_reject() {
    from_both_over_both("s21-drop", |scene, family| {
        let name = family.name("web");
        let to = SocketAddr::new(family.external_ip(2), 80);
        let service = web(&name, [family.cluster_ip(10)]).kind("LoadBalancer");
        let service = service.load_balancer_ip(&to.ip().to_string());
        scene.put(&service.build());
        scene.expect(to, &["ECONNREFUSED"]);
        let unused = if to.is_ipv4() { "198.51.100.0/24" } else { "2001:db8:9::/48" };
        scene.put(&service.source_range(unused).build());
        scene.expect(to, DROPPED);
        scene.hold(family.frontend(10), &["ECONNREFUSED"]);
    });
}
