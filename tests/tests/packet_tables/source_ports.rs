//! Source ports: the client's own where it is free and may be used, else another (S28: no two flows expect the same
//! replies).

use harness::{
    packet::{check::check, sctp, tcp, udp},
    scene::Family,
    test_run::{Action, BenchNode, Device, Hook, check_rows, ingress, places::*, row, shared},
};

use super::*;

#[test]
fn s26_a_port_that_is_not_ours_is_changed() {
    let changed = |name, port| {
        row(name, ingress(tcp(CLIENT.at(port), NODE_PORT).syn()))
            .serving(web())
            .leaves_from_any_port_as(tcp(CLIENT.at(port), BACKEND).from(NODE.at(port)).syn().ttl(63))
            .counts(&OPENED_CHANGED)
    };
    let kept = |name, port| {
        row(name, ingress(tcp(CLIENT.at(port), NODE_PORT).syn()))
            .serving(web())
            .leaves_as(tcp(NODE.at(port), BACKEND).syn().ttl(63))
            .counts(&OPENED)
    };
    let rows = vec![
        changed("s26_a_low_port", 500),
        changed("s26_the_last_low_port", 1023),
        kept("s26_the_first_port", 1024),
        kept("s26_below_the_ephemeral_ports", 32_767),
        changed("s26_the_first_ephemeral_port", 32_768),
        changed("s26_an_ephemeral_port", 45_000),
        changed("s26_the_last_ephemeral_port", 60_999),
        kept("s26_above_the_ephemeral_ports", 61_000),
        kept("s26_the_last_port", 65_535),
        changed("s26_a_node_port", 30_080),
    ];
    check_rows(rows);
}

#[test]
fn s28_a_port_that_is_taken_is_changed() {
    let other = CLIENT_OTHER.at(20_001);
    let cluster_ip = CLUSTER_IP.at(80);
    let rows = vec![
        row("s28_two_clients", ingress(tcp(FROM, NODE_PORT).syn()))
            .serving(web())
            .after([ingress(tcp(other, NODE_PORT).syn())])
            .leaves_from_any_port_as(tcp(SNAT, BACKEND).syn().ttl(63))
            .counts(&OPENED_CHANGED)
            .flows(0, 2),
        row("s28_two_clients_one_established", ingress(tcp(other, NODE_PORT).syn()))
            .serving(web())
            .after(handshake())
            .leaves_from_any_port_as(tcp(SNAT, BACKEND).syn().ttl(63))
            .counts(&OPENED_CHANGED)
            .flows(2, 1),
        row("s28_two_clients_by_udp", ingress(udp(FROM, NODE_PORT)))
            .serving(dns())
            .after([ingress(udp(other, NODE_PORT))])
            .leaves_from_any_port_as(udp(SNAT, BACKEND).ttl(63))
            .counts(&OPENED_CHANGED),
        row("s28_two_frontends", ingress(tcp(FROM, cluster_ip).syn()))
            .serving(web())
            .after([ingress(tcp(FROM, NODE_PORT).syn())])
            .leaves_from_any_port_as(tcp(SNAT, BACKEND).syn().ttl(63))
            .counts(&OPENED_CHANGED)
            .flows(0, 2),
        row("s28_two_services", ingress(tcp(FROM, NODE.at(30_081)).syn()))
            .serving(web())
            .serving(service("other").node_port(30_081).remote(BACKEND))
            .after([ingress(tcp(FROM, NODE_PORT).syn())])
            .leaves_from_any_port_as(tcp(SNAT, BACKEND).syn().ttl(63))
            .counts(&OPENED_CHANGED),
        row("s28_two_frontends_to_this_node", ingress(tcp(FROM, cluster_ip).syn()))
            .serving(web_here())
            .after([ingress(tcp(FROM, NODE_PORT).syn())])
            .becomes_from_any_port(tcp(FROM, HERE).syn())
            .counts(&[Counter::FlowOpened, Counter::SnatPortChanged, Counter::PacketTranslated])
            .flows(0, 2),
        row("s28_two_clients_to_this_node", ingress(tcp(FROM, NODE_PORT).syn()))
            .serving(web_here())
            .after([ingress(tcp(other, NODE_PORT).syn())])
            .becomes(tcp(FROM, HERE).syn())
            .counts(&OPENED_HERE),
        row("s28_another_backend", ingress(tcp(FROM, NODE.at(30_081)).syn()))
            .serving(web())
            .serving(service("other").node_port(30_081).remote(REMOTE.at(8081)))
            .after([ingress(tcp(FROM, NODE_PORT).syn())])
            .leaves_as(tcp(SNAT, REMOTE.at(8081)).syn().ttl(63))
            .counts(&OPENED),
        row("s28_another_protocol", ingress(udp(FROM, NODE_PORT)))
            .serving(web())
            .serving(service("other").protocol(Protocol::Udp).node_port(30_080).remote(BACKEND))
            .after([ingress(tcp(FROM, NODE_PORT).syn())])
            .leaves_as(udp(SNAT, BACKEND).ttl(63))
            .counts(&OPENED),
        row("s28_what_has_ended_is_free", ingress(tcp(FROM, NODE_PORT).syn()))
            .serving(web())
            .after([ingress(tcp(other, NODE_PORT).syn()), Step::Expire])
            .leaves_as(tcp(SNAT, BACKEND).syn().ttl(63))
            .counts(&OPENED),
    ];
    check_rows(rows);
}

#[test]
fn s28_a_changed_port_is_changed_back() {
    let shared = shared();
    let mut node = shared.lock();
    for (family, hook) in [Family::Ipv4, Family::Ipv6].into_iter().flat_map(|f| [(f, Hook::Xdp), (f, Hook::TcIngress)])
    {
        node.state().forget();
        node.serve(&[web()]);
        let (client, uplink) = (CLIENT.at(45_000), Device::Uplink);
        let syn = tcp(client, NODE_PORT).syn();
        let (_, out) = node.run(hook, uplink, &syn, family);
        let port = check(&out).unwrap().ports.unwrap().0;
        let (_, again) = node.run(hook, uplink, &syn, family);
        assert_eq!(out, again, "a retransmission leaves as the first one");
        let answer = tcp(BACKEND, NODE.at(port)).syn_ack();
        // The program chooses the port at random, so the checksum may look pending.
        let hook = if answer.looks_pending(family) { Hook::TcIngress } else { hook };
        let (action, out) = node.run(hook, uplink, &answer, family);
        let wanted = tcp(NODE_PORT, client).syn_ack().ttl(63).ethernet(uplink.mac(), ROUTER_MAC);
        assert_eq!(out, wanted.bytes(family), "{family:?} {hook:?}");
        assert_ne!(action, Action::Pass);
    }
}

#[test]
fn s28_two_frontends_of_one_local_backend_are_distinguished() {
    let shared = shared();
    let mut node = shared.lock();
    for family in Family::BOTH {
        node.state().forget();
        node.serve(&[dns_here()]);
        let mut answers = Vec::new();
        for frontend in [NODE_PORT, CLUSTER_IP.at(80)] {
            let (_, out) = node.run(Hook::Xdp, Device::Uplink, &udp(FROM, frontend), family);
            let port = check(&out).unwrap().ports.unwrap().0;
            let (_, out) = node.run(Hook::TcEgress, Device::Uplink, &udp(HERE, CLIENT.at(port)), family);
            answers.push((out, udp(frontend, FROM).bytes(family)));
        }
        for (found, wanted) in answers {
            assert_eq!(found, wanted, "{family:?}");
        }
    }
}

/// An association's tag is in the field where the search for a port counts the ports that are taken.
#[test]
fn field_s13_tags_are_not_counted_as_ports() {
    const TAG: u32 = 0x1111_1111;
    let shared = shared();
    let mut node = shared.lock();
    node.serve(&[web().protocol(Protocol::Sctp)]);
    for hook in [Hook::Xdp, Hook::TcIngress] {
        node.state().forget();
        let run = |node: &mut BenchNode| {
            node.run(hook, Device::Uplink, &sctp(FROM, NODE_PORT).chunk(1, 0, TAG), Family::Ipv4);
            let flows = node.state().embryonic();
            assert!(flows.iter().all(|(_, flow)| flow.meta.handshake == TAG), "{hook:?}: {flows:?}");
            node.state().backend_counts(flows[0].1.meta.backend).taken
        };
        let before = run(&mut node);
        node.state().forget();
        assert_eq!(run(&mut node), before, "{hook:?}");
    }
}
