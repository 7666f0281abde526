//! The meaning of Services and EndpointSlices (S1 to S11).

use std::net::SocketAddr;

use harness::{
    lab::Transport,
    objects::{Cluster as _, service, slice},
    scene::{Family, PORTS, expect_by, from_both, from_both_over_both, over_both, web, web_slice},
};
use serde_json::json;

const REFUSED: &[&str] = &["ECONNREFUSED"];
const UNREACHABLE: &[&str] = &["EHOSTUNREACH"];
const PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";

#[test]
fn s1_the_proxy_name_label_hides_and_reveals_a_live_service() {
    from_both_over_both("s1", |scene, family| {
        let (name, to) = (family.name("web"), family.frontend(10));
        let plain = web(&name, [family.cluster_ip(10)]);
        scene.put(&web_slice(&name, family).pod(scene.pod(1)).build());
        for _ in 0..2 {
            scene.put(&plain.build());
            scene.expect(to, &["p1"]);
            scene.put(&plain.clone().label(PROXY_NAME, "other").build());
            scene.expect(to, UNREACHABLE);
        }
    });
}

#[test]
fn s1_headless_services_and_external_names_are_not_served() {
    from_both_over_both("s1-none", |scene, family| {
        let (name, to) = (family.name("web"), family.frontend(10));
        let plain = web(&name, [family.cluster_ip(10)]);
        scene.put(&web_slice(&name, family).pod(scene.pod(1)).build());
        let headless = service(&name).headless().named_port("tcp", "TCP", 80, PORTS[0]);
        let external = service(&name).kind("ExternalName").spec("externalName", "example.com");
        for hidden in [headless, external] {
            scene.put(&plain.build());
            scene.expect(to, &["p1"]);
            scene.put(&hidden.build());
            scene.expect(to, UNREACHABLE);
        }
    });
}

#[test]
fn s2_s11_families_have_addresses_and_backends_of_their_own() {
    from_both("s2", |scene| {
        scene.put(&web("web", Family::BOTH.map(|family| family.cluster_ip(10))).build());
        scene.put(&web_slice("web", Family::Ipv4).name("web-v4").pod(scene.pod(1)).pod(scene.pod(2)).build());
        scene.expect(Family::Ipv4.frontend(10), &["p1", "p2"]);
        scene.hold(Family::Ipv6.frontend(10), REFUSED);
        scene.put(&web_slice("web", Family::Ipv6).name("web-v6").pod(scene.pod(3)).build());
        scene.expect(Family::Ipv6.frontend(10), &["p3"]);
        scene.hold(Family::Ipv4.frontend(10), &["p1", "p2"]);
        // With the second family first, its address is the first one.
        scene.delete("Service", "web");
        scene.expect(Family::Ipv4.frontend(10), UNREACHABLE);
        scene.put(&web("web", [Family::Ipv6.cluster_ip(11), Family::Ipv4.cluster_ip(11)]).build());
        scene.expect(Family::Ipv6.frontend(11), &["p3"]);
        scene.expect(Family::Ipv4.frontend(11), &["p1", "p2"]);
    });
}

#[test]
fn s10_s11_ports_lead_to_their_own_targets() {
    from_both_over_both("s11", |scene, family| {
        let name = family.name("web");
        let at = |port| SocketAddr::new(family.cluster_ip(10), port);
        let service = service(&name).cluster_ip(&family.cluster_ip(10).to_string());
        let service = service.named_port("http", "TCP", 80, PORTS[0]).named_port("admin", "TCP", 81, PORTS[1]);
        scene.put(&service.named_port("dns", "UDP", 80, PORTS[2]).build());
        let ports = [("http", "TCP", PORTS[0]), ("admin", "TCP", PORTS[1]), ("dns", "UDP", PORTS[2])];
        let slice = web_slice(&name, family).pod(scene.pod(1));
        let mut slice = slice.build();
        slice["ports"] =
            ports.map(|(name, protocol, port)| json!({"name": name, "protocol": protocol, "port": port})).into();
        scene.put(&slice);
        expect_by(&scene.from_pod, Transport::Tcp, at(80), &["p1"]);
        // A backend tells the address at which it was reached.
        let reached = |answer: String| answer.split(' ').nth(1).and_then(|at| at.parse::<SocketAddr>().ok());
        let backend = |port| Some(SocketAddr::new(family.of(scene.pod(1)), port));
        assert_eq!(reached(scene.from_pod.tcp(at(80)).unwrap().message.text), backend(PORTS[0]));
        assert_eq!(reached(scene.from_pod.tcp(at(81)).unwrap().message.text), backend(PORTS[1]));
        assert_eq!(reached(scene.from_pod.udp(at(80)).unwrap().message.text), backend(PORTS[2]));
        assert_eq!(scene.from_pod.udp(at(81)).unwrap_err().errno, "ECONNREFUSED", "an address's unserved port");
    });
}

#[test]
fn s4_slices_bring_their_own_port_numbers() {
    from_both_over_both("s4", |scene, family| {
        let (name, to) = (family.name("web"), family.frontend(10));
        // No server listens at the Service's targetPort: only the slices' numbers count.
        let service = service(&name).cluster_ip(&family.cluster_ip(10).to_string());
        scene.put(&service.named_port("tcp", "TCP", 80, 9).named_port("udp", "UDP", 80, 9).build());
        scene.put(&web_slice(&name, family).name(&family.name("one")).pod(scene.pod(1)).build());
        let mut other = web_slice(&name, family).name(&family.name("other")).pod(scene.pod(2)).build();
        for port in other["ports"].as_array_mut().into_iter().flatten() {
            port["port"] = PORTS[1].into();
        }
        scene.put(&other);
        scene.expect(to, &["p1", "p2"]);
        // A port name or protocol that the Service does not have matches nothing.
        for port in other["ports"].as_array_mut().into_iter().flatten() {
            port["name"] = "another".into();
        }
        scene.put(&other);
        scene.expect(to, &["p1"]);
    });
}

#[test]
fn s5_only_the_first_address_counts_and_a_port_needs_a_number() {
    from_both_over_both("s5", |scene, family| {
        let (name, to) = (family.name("web"), family.frontend(10));
        scene.put(&web(&name, [family.cluster_ip(10)]).build());
        let addresses = [1, 2].map(|number| family.of(scene.pod(number)).to_string());
        let slice = web_slice(&name, family).endpoint_with(json!({"addresses": addresses}));
        scene.put(&slice.build());
        scene.expect(to, &["p1"]);
        let mut unnumbered = slice.build();
        unnumbered["ports"] = json!([{"name": "tcp", "protocol": "TCP"}, {"name": "udp", "protocol": "UDP"}]);
        scene.put(&unnumbered);
        scene.expect(to, REFUSED);
    });
}

#[test]
fn s8_copies_in_several_slices_are_one_backend() {
    from_both_over_both("s8", |scene, family| {
        let (name, to) = (family.name("web"), family.frontend(10));
        scene.put(&web(&name, [family.cluster_ip(10)]).build());
        let old = || web_slice(&name, family).name(&family.name("old"));
        scene.put(&old().pod(scene.pod(1)).draining().build());
        scene.expect(to, &["p1"]);
        // The ready copy counts: beside another ready backend it still gets its share.
        let new = web_slice(&name, family).name(&family.name("new")).pod(scene.pod(1)).pod(scene.pod(2));
        scene.put(&new.build());
        scene.expect(to, &["p1", "p2"]);
        scene.delete("EndpointSlice", &family.name("old"));
        scene.put(&old().pod(scene.pod(3)).pod(scene.pod(3)).build());
        scene.expect(to, &["p1", "p2", "p3"]);
        let got = harness::lab::Dial::new(Transport::Tcp, to).count(600);
        let third = scene.from_pod.dial_all(&got).into_iter().filter(|reply| reply.as_ref().unwrap().backend() == "p3");
        // A backend that is counted twice would get 300 connections; 200 ± 6σ are 131 to 269.
        let third = third.count();
        assert!((131..270).contains(&third), "{third} of 600");
    });
}

#[test]
fn s3_slices_that_are_not_for_the_proxy_are_ignored() {
    from_both("s3", |scene| {
        scene.put(&web("web", Family::BOTH.map(|family| family.cluster_ip(10))).build());
        over_both(|family| {
            let (to, n) = (family.frontend(10), family.number());
            scene.put(&web_slice("web", family).name(&format!("web-{n}")).pod(scene.pod(1)).build());
            let headless = web_slice("web", family).name(&format!("headless-{n}")).pod(scene.pod(2));
            scene.put(&headless.label("service.kubernetes.io/headless", "").build());
            let mut unlabelled = web_slice("web", family).name(&format!("unlabelled-{n}")).pod(scene.pod(3)).build();
            unlabelled["metadata"]["labels"] = json!({});
            scene.put(&unlabelled);
            let names =
                slice("web").name(&format!("names-{n}")).address_type("FQDN").named_port("tcp", "TCP", PORTS[0]);
            scene.put(&names.endpoint_with(json!({"addresses": ["p3.example.com"]})).build());
            scene.expect(to, &["p1"]);
            // Once the last slice is in force, all earlier ones are.
            scene.put(&web_slice("web", family).name(&format!("last-{n}")).pod(scene.pod(2)).build());
            scene.expect(to, &["p1", "p2"]);
        });
    });
}

#[test]
fn s1_namespaces_keep_equal_names_apart() {
    from_both_over_both("s1-ns", |scene, family| {
        let name = family.name("web");
        for (number, namespace) in [(1, "one"), (2, "two")] {
            let address = family.cluster_ip(20 + u8::try_from(number).unwrap());
            scene.put(&web(&name, [address]).namespace(namespace).build());
            scene.put(&web_slice(&name, family).namespace(namespace).pod(scene.pod(number)).build());
        }
        scene.expect(family.frontend(21), &["p1"]);
        scene.expect(family.frontend(22), &["p2"]);
        scene.objects.delete("Service", "one", &name);
        scene.expect(family.frontend(21), UNREACHABLE);
        scene.hold(family.frontend(22), &["p2"]);
    });
}
