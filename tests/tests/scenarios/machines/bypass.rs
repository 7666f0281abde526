//! Pods with a network card of their own (macvlan, ipvlan, SR-IOV, an interface of the cloud's): they are on this node, and their
//! replies bypass it.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use harness::{
    lab::{Dial, Host, Transport},
    scene::{Family, PORTS, TRANSPORTS, WAIT_LIMIT, expect, from_outside_over_both, until, web_slice},
};

use super::*;

fn seen(outside: &Outside, transport: Transport, to: SocketAddr) -> IpAddr {
    outside.client.dial(&Dial::new(transport, to)).unwrap().seen_client().unwrap().ip()
}

/// `externalTrafficPolicy: Local` promises the client's address, and the pod sees it. The pod's reply bypasses the node. It comes
/// from the pod's own address, which is not the one that the client has connected to. kube-proxy does the same.
#[test]
fn w09_a_local_policy_keeps_the_clients_address_and_says_what_is_lost() {
    from_outside_over_both("past-local", |outside, family| {
        let pod = outside.scene.lab.client(if family == Family::Ipv4 { "m4" } else { "m6" }).unwrap();
        let _server = pod.serve(&PORTS).unwrap();
        let local = outside.web(family).external_local().build();
        let of = |host: &Host| web_slice("web", family).endpoint(&family.of(host).to_string()).node("a").build();
        let to = outside.node_port(family);
        outside.scene.put(&local);
        outside.scene.put(&of(outside.scene.pod(1)));
        expect(&outside.client, to, &["p1"]);
        outside.scene.put(&of(&pod));
        let dial = Dial::new(Transport::Tcp, to).timeout(Duration::from_millis(300));
        until("p1 is no backend any more", || outside.client.dial(&dial).is_err());
        let filter = format!("port {} or port {}", to.port(), PORTS[0]);
        let (outcome, packets) = outside.host.capture("eth0", &filter, || outside.client.dial(&dial)).unwrap();
        assert_eq!(outcome.unwrap_err().errno, "ETIMEDOUT");
        let (own, client) = (family.of(&pod), family.of(&outside.host));
        let answer = format!("{own}.{} > {client}.", PORTS[0]);
        assert!(packets.iter().any(|line| line.contains(&answer) && line.contains("Flags [S.]")), "{packets:#?}");
        outside.scene.waggle.wait_log(WAIT_LIMIT, |line| tells_of(line, own)).unwrap();
        // Sockets on the node get the Cluster list: they lose nothing.
        expect(&outside.scene.from_pod, to, &[pod.name()]);
        // With another backend that is behind the node, only the pod's own share is lost.
        outside.scene.put(&web_slice("web", family).name("web-more").pod(outside.scene.pod(1)).build());
        until("p1 answers again", || outside.client.dial(&dial).is_ok_and(|reply| reply.backend() == "p1"));
        outside.scene.delete("EndpointSlice", "web-more");
        outside.scene.delete("EndpointSlice", "web");
        outside.scene.delete("Service", "web");
    });
}

fn tells_of(line: &LogLine, ip: IpAddr) -> bool {
    let is_it = |text: &str| text.parse().is_ok_and(|backend: SocketAddr| backend.ip() == ip);
    line.message().contains("leads out of the node")
        && line.field("backend").is_some_and(|field| is_it(field.as_str().unwrap()))
}

#[test]
fn w09_a_pod_that_answers_past_its_node_is_sent_the_nodes_address() {
    from_outside_over_both("past", |outside, family| {
        let waggle = &outside.scene.waggle;
        let pod = outside.scene.lab.client(if family == Family::Ipv4 { "m4" } else { "m6" }).unwrap();
        let _server = pod.serve(&PORTS).unwrap();
        let slice = web_slice("web", family).endpoint(&family.of(&pod).to_string()).node("a");
        outside.scene.put(&slice.build());
        outside.scene.put(&outside.web(family).build());
        let node = family.of(&outside.scene.node);
        for to in outside.frontends(family) {
            expect(&outside.client, to, &[pod.name()]);
            for transport in TRANSPORTS {
                assert_eq!(seen(outside, transport, to), node, "{transport:?} to {to}");
            }
        }
        waggle.wait_log(WAIT_LIMIT, |line| tells_of(line, family.of(&pod))).unwrap();

        // A pod that is behind the node still sees its clients' addresses.
        outside.serve_by(family, &[outside.scene.pod(1)]);
        expect(&outside.client, outside.node_port(family), &["p1"]);
        assert_eq!(seen(outside, Transport::Tcp, outside.node_port(family)), outside.address(family));

        // The route to the pod changes, as if its card did not belong to the node any more, and back.
        let (address, bits) = (family.of(outside.scene.pod(1)), if family == Family::Ipv4 { 32 } else { 128 });
        let to_pod = |device: &str| format!("route replace {address}/{bits} dev {device}");
        let via = |device: &str| ip(outside.scene.node.netns(), &[&to_pod(device)]);
        via("eth0");
        waggle.wait_log(WAIT_LIMIT, |line| tells_of(line, address)).unwrap();
        via("pod-p1");
        until("the pod is behind the node again", || {
            let reply = outside.client.dial(&Dial::new(Transport::Tcp, outside.node_port(family)));
            reply.is_ok_and(|reply| reply.seen_client().is_some_and(|seen| seen.ip() == outside.address(family)))
        });
        outside.scene.delete("Service", "web");
    });
}
