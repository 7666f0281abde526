//! Pods with a network card of their own (macvlan, ipvlan, SR-IOV, an interface of the cloud's): they are on this node and
//! answer past it.

use std::net::{IpAddr, SocketAddr};

use harness::{
    lab::{Dial, Manner},
    scene::{Family, MANNERS, PORTS, expect, from_outside_over_both, web_slice},
    stage::{PATIENCE, until},
};

use super::*;

fn seen(outside: &Outside, manner: Manner, to: SocketAddr) -> IpAddr {
    outside.client.dial(&Dial::new(manner, to)).unwrap().seen_client().unwrap().ip()
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
            for manner in MANNERS {
                assert_eq!(seen(outside, manner, to), node, "{manner:?} to {to}");
            }
        }
        let tells_of = |line: &LogLine, ip: IpAddr| {
            let is_it = |text: &str| text.parse().is_ok_and(|backend: SocketAddr| backend.ip() == ip);
            line.message().contains("leads out of the node")
                && line.field("backend").is_some_and(|field| is_it(field.as_str().unwrap()))
        };
        waggle.wait_log(PATIENCE, |line| tells_of(line, family.of(&pod))).unwrap();

        // A pod behind the node is still one, and keeps its clients' addresses.
        outside.serve_by(family, &[outside.scene.pod(1)]);
        expect(&outside.client, outside.node_port(family), &["p1"]);
        assert_eq!(seen(outside, Manner::Tcp, outside.node_port(family)), outside.address(family));

        // Its way changes: as if its card were the node's no more, and back.
        let (address, bits) = (family.of(outside.scene.pod(1)), if family == Family::Ipv4 { 32 } else { 128 });
        let to_pod = |device: &str| format!("route replace {address}/{bits} dev {device}");
        let via = |device: &str| ip(outside.scene.node.netns(), &[&to_pod(device)]);
        via("eth0");
        waggle.wait_log(PATIENCE, |line| tells_of(line, address)).unwrap();
        via("pod-p1");
        until("the pod is behind the node again", || {
            let reply = outside.client.dial(&Dial::new(Manner::Tcp, outside.node_port(family)));
            reply.is_ok_and(|reply| reply.seen_client().is_some_and(|seen| seen.ip() == outside.address(family)))
        });
        outside.scene.delete("Service", "web");
    });
}
