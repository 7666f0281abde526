//! SCTP as users have it: pods and hosts with SCTP sockets, and the node's kernel between them. The kernel has no hook
//! that could send an SCTP socket to a backend, so packets of pods are served on the host ends of their devices.
//!
//! A kernel for development may have no SCTP; the kernels of `cargo xtask vm` have the module.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use harness::{
    lab::{Dial, Transport},
    scene::{Family, Scene, Setup, expect_by, sctp_end, sctp_web, until, web, web_slice, with_sctp_servers},
};

#[test]
#[ignore = "this kernel may have no SCTP: cargo xtask vm runs it"]
fn w13_clients_reach_services_by_sctp() {
    with_sctp_servers("sctp", |outside, family| {
        let (client, to) = (&outside.scene.from_pod, family.frontend(1));
        let (near, far) = (outside.scene.pod(1), &outside.remote);
        // Packets that belong to no Service are not changed.
        for pod in [near, far] {
            expect_by(client, Transport::Sctp, sctp_end(family, pod), &[pod.name()]);
        }
        outside.serve_sctp(family, &[near, far]);
        for to in [to, outside.node_port(family)] {
            expect_by(client, Transport::Sctp, to, &["p1", "far"]);
            expect_by(&outside.client, Transport::Sctp, to, &["p1", "far"]);
        }
        outside.serve_sctp(family, &[near]);
        expect_by(client, Transport::Sctp, to, &["p1"]);
        let reply = client.dial(&Dial::new(Transport::Sctp, to)).unwrap();
        assert_eq!(reply.seen_client().unwrap().ip(), family.of(&outside.scene.client), "S26");
        expect_by(&near.client().unwrap(), Transport::Sctp, to, &["p1"]);
    });
}

/// Packets of the node's own sockets are served where they leave the node, and the replies pass a strict reverse-path
/// check.
#[test]
#[ignore = "this kernel may have no SCTP: cargo xtask vm runs it"]
fn w13_the_nodes_own_sockets_reach_services_by_sctp() {
    with_sctp_servers("sctp-node", |outside, family| {
        let (client, to) = (&outside.scene.from_node, family.frontend(1));
        let (near, far) = (outside.scene.pod(1), &outside.remote);
        let node = outside.scene.node.netns();
        for way in ["all", "default", "eth0", "pod-p1", "pod-client"] {
            node.inside(|| fs::write(format!("/proc/sys/net/ipv4/conf/{way}/rp_filter"), "1")).unwrap().unwrap();
        }
        for backends in [&[near, far][..], &[far], &[near]] {
            outside.serve_sctp(family, backends);
            let names: Vec<_> = backends.iter().map(|pod| pod.name()).collect();
            expect_by(client, Transport::Sctp, to, &names);
        }
        let reply = client.dial(&Dial::new(Transport::Sctp, to)).unwrap();
        let node_address =
            if family == Family::Ipv4 { outside.scene.node.v4().into() } else { IpAddr::from(outside.scene.node.v6()) };
        assert_eq!(reply.seen_client().unwrap().ip(), node_address, "S26");
        // The socket notes the error and keeps waiting (`sk_err_soft`), as with kube-proxy.
        outside.serve_sctp(family, &[]);
        let dial = Dial::new(Transport::Sctp, to).timeout(Duration::from_secs(1));
        until("a refusal", || client.dial(&dial).is_err());
        // Programs for the node's own SCTP add none to pods' devices.
        outside.serve_sctp(family, &[near, far]);
        expect_by(&outside.scene.from_pod, Transport::Sctp, to, &["p1", "far"]);
    });
}

/// Most network plugins connect pods by the ports of a bridge.
#[test]
#[ignore = "this kernel may have no SCTP: cargo xtask vm runs it"]
fn w13_a_pod_on_a_bridge_reaches_cluster_ips_by_sctp() {
    with_sctp_servers("sctp-bridge", |outside, family| {
        if family == Family::Ipv6 {
            return;
        }
        let (node, near) = (&outside.scene.node, outside.scene.pod(1));
        let pods = [&outside.scene.client, near];
        let gateway = format!("10.244.{}.254", node.number());
        let mut commands = vec![
            "link add cni0 type bridge".to_owned(),
            format!("address add {gateway}/24 dev cni0"),
            "link set dev cni0 up".to_owned(),
        ];
        for pod in pods {
            commands.push(format!("link set dev pod-{} master cni0", pod.name()));
            commands.push(format!("route del {}/32 dev pod-{}", pod.v4(), pod.name()));
            let inside = [
                format!("address add {}/24 dev eth0", pod.v4()),
                format!("address del {}/32 dev eth0", pod.v4()),
                "route flush default".to_owned(),
                format!("route replace default via {gateway}"),
            ];
            pod.netns().batch(&inside).unwrap();
        }
        node.netns().batch(&commands).unwrap();
        outside.serve_sctp(family, &[near, &outside.remote]);
        expect_by(&outside.scene.from_pod, Transport::Sctp, family.frontend(1), &["p1", "far"]);
    });
}

/// The devices with programs.
fn served(scene: &Scene) -> BTreeSet<String> {
    let rows = scene.get("devices");
    rows.as_array().unwrap().iter().map(|row| row["device"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn w13_pods_have_programs_only_where_there_are_sctp_services() {
    let mut scene = Setup::new("sctp-pods").backends(1).args(["--devices", "auto"]).start();
    let only_uplink: BTreeSet<String> = ["eth0".to_owned()].into();
    assert_eq!(served(&scene), only_uplink);
    let family = Family::Ipv4;
    scene.put(&web_slice("plain", family).pod(scene.pod(1)).build());
    scene.put(&web("plain", [family.cluster_ip(2)]).build());
    scene.expect(SocketAddr::new(family.cluster_ip(2), 80), &["p1"]);
    assert_eq!(served(&scene), only_uplink, "not for TCP and UDP");
    scene.put(&sctp_web(family).build());
    let all: BTreeSet<String> = ["eth0", "pod-client", "pod-p1"].map(str::to_owned).into();
    until("programs for pods", || served(&scene) == all);
    // A pod that is added later has the programs, too, and other protocols still pass.
    let _later = scene.node.pod("later").unwrap();
    until("programs for one more", || served(&scene).contains("pod-later"));
    scene.hold(SocketAddr::new(family.cluster_ip(2), 80), &["p1"]);
    // The next agent keeps the programs while there is an SCTP Service, and removes them when there is none.
    let with_later = served(&scene);
    scene.waggle.kill().unwrap();
    scene.waggle.restart().unwrap();
    assert_eq!(served(&scene), with_later);
    scene.delete("Service", "web");
    scene.waggle.kill().unwrap();
    scene.waggle.restart().unwrap();
    until("no programs for pods", || served(&scene) == only_uplink);
    scene.hold(SocketAddr::new(family.cluster_ip(2), 80), &["p1"]);
}
