//! Replies: translated back at each hook, for the client that asked (S26, S28).

use harness::{
    packet::{sctp, tcp, udp},
    test_run::{Device, check_rows, egress, ingress, places::*, row},
};

use super::*;

const FORWARDED: [Counter; 1] = [Counter::PacketForwarded];
const TRANSLATED: [Counter; 1] = [Counter::PacketTranslated];

#[test]
fn s28_answers_of_other_nodes_come_from_the_frontend() {
    let cluster_ip = CLUSTER_IP.at(80);
    let rows = vec![
        row("s28_tcp_syn_ack", ingress(tcp(BACKEND, SNAT).syn_ack()))
            .serving(web())
            .after([ingress(tcp(FROM, NODE_PORT).syn())])
            .leaves_as(tcp(NODE_PORT, FROM).syn_ack().ttl(63))
            .counts(&FORWARDED)
            .flows(0, 2),
        row("s28_tcp_data", ingress(tcp(BACKEND, SNAT).data()))
            .serving(web())
            .after(handshake())
            .leaves_as(tcp(NODE_PORT, FROM).data().ttl(63))
            .counts(&FORWARDED)
            .flows(2, 0),
        row("s28_udp", ingress(udp(BACKEND, SNAT).payload(b"answer")))
            .serving(dns())
            .after([ingress(udp(FROM, NODE_PORT))])
            .leaves_as(udp(NODE_PORT, FROM).payload(b"answer").ttl(63))
            .counts(&FORWARDED),
        row("s28_sctp", ingress(sctp(BACKEND, SNAT)))
            .serving(web().protocol(Protocol::Sctp))
            .after([ingress(sctp(FROM, NODE_PORT))])
            .leaves_as(sctp(NODE_PORT, FROM).ttl(63))
            .counts(&FORWARDED),
        row("s28_from_a_cluster_ip", ingress(tcp(BACKEND, SNAT).syn_ack()))
            .serving(web())
            .after([ingress(tcp(FROM, cluster_ip).syn())])
            .leaves_as(tcp(cluster_ip, FROM).syn_ack().ttl(63))
            .counts(&FORWARDED),
        row("s28_from_another_device", Step::Ingress(Device::Second, tcp(FAR.at(8080), SNAT).syn_ack()))
            .serving(bare().remote(FAR.at(8080)))
            .after([ingress(tcp(FROM, NODE_PORT).syn())])
            .leaves_as(tcp(NODE_PORT, FROM).syn_ack().ttl(63))
            .counts(&FORWARDED),
        row("s27_to_the_backend_itself", ingress(tcp(BACKEND, SNAT).syn_ack()))
            .serving(web())
            .after([ingress(tcp(REMOTE.at(20_001), NODE_PORT).syn())])
            .leaves_as(tcp(NODE_PORT, REMOTE.at(20_001)).syn_ack().ttl(63))
            .counts(&FORWARDED),
        row("s28_after_the_service_is_gone", ingress(tcp(BACKEND, SNAT).data()))
            .serving(web())
            .after(handshake())
            .after([Step::Serve(vec![])])
            .leaves_as(tcp(NODE_PORT, FROM).data().ttl(63))
            .counts(&FORWARDED),
        row("s28_a_reset", ingress(tcp(BACKEND, SNAT).rst()))
            .serving(web())
            .after([ingress(tcp(FROM, NODE_PORT).syn())])
            .leaves_as(tcp(NODE_PORT, FROM).rst().ttl(63))
            .counts(&FORWARDED),
        row("s28_from_another_backend", ingress(tcp(REMOTE_OTHER.at(8080), SNAT).syn_ack()))
            .serving(web())
            .after([ingress(tcp(FROM, NODE_PORT).syn())]),
        row("s28_from_another_port", ingress(tcp(REMOTE.at(8081), SNAT).syn_ack()))
            .serving(web())
            .after([ingress(tcp(FROM, NODE_PORT).syn())]),
        row("s28_by_another_protocol", ingress(udp(BACKEND, SNAT)))
            .serving(web())
            .after([ingress(tcp(FROM, NODE_PORT).syn())]),
        row("s28_of_a_flow_that_has_ended", ingress(udp(BACKEND, SNAT)))
            .serving(dns())
            .after(exchange())
            .after([Step::Expire]),
    ];
    check_rows(rows);
}

#[test]
fn s26_answers_of_this_node_come_from_the_frontend() {
    let cluster_ip = CLUSTER_IP.at(80);
    let asked = || [ingress(tcp(FROM, NODE_PORT).syn())];
    let rows = vec![
        row("s26_tcp_syn_ack", egress(tcp(HERE, FROM).syn_ack()))
            .serving(web_here())
            .after(asked())
            .becomes(tcp(NODE_PORT, FROM).syn_ack())
            .counts(&TRANSLATED)
            .flows(0, 2),
        row("s26_tcp_data", egress(tcp(HERE, FROM).data()))
            .serving(web_here())
            .after(handshake_here())
            .becomes(tcp(NODE_PORT, FROM).data())
            .counts(&TRANSLATED)
            .flows(2, 0),
        row("s26_udp", egress(udp(HERE, FROM)))
            .serving(dns_here())
            .after([ingress(udp(FROM, NODE_PORT))])
            .becomes(udp(NODE_PORT, FROM))
            .counts(&TRANSLATED),
        row("s26_sctp", egress(sctp(HERE, FROM)))
            .serving(web_here().protocol(Protocol::Sctp))
            .after([ingress(sctp(FROM, NODE_PORT))])
            .becomes(sctp(NODE_PORT, FROM))
            .counts(&TRANSLATED),
        row("s26_from_a_cluster_ip", egress(tcp(HERE, FROM).syn_ack()))
            .serving(web_here())
            .after([ingress(tcp(FROM, cluster_ip).syn())])
            .becomes(tcp(cluster_ip, FROM).syn_ack())
            .counts(&TRANSLATED),
        row("s26_by_another_device", Step::Egress(Device::Second, tcp(HERE, FROM).syn_ack()))
            .serving(web_here())
            .after(asked())
            .becomes(tcp(NODE_PORT, FROM).syn_ack())
            .counts(&TRANSLATED),
        row("s26_of_the_node_itself", egress(tcp(NODE.at(8080), FROM).syn_ack()))
            .serving(bare().local(NODE.at(8080)))
            .after(asked())
            .becomes(tcp(NODE_PORT, FROM).syn_ack())
            .counts(&TRANSLATED),
        row("s26_hop_limit_is_the_stacks", egress(tcp(HERE, FROM).syn_ack().ttl(1)))
            .serving(web_here())
            .after(asked())
            .becomes(tcp(NODE_PORT, FROM).syn_ack().ttl(1))
            .counts(&TRANSLATED),
        row("s26_after_the_backend_is_gone", egress(tcp(HERE, FROM).data()))
            .serving(web_here())
            .after(handshake_here())
            .after([Step::Serve(vec![bare(), service("keep").port(1).node_port(31_000).local(POD.at(1))])])
            .becomes(tcp(NODE_PORT, FROM).data())
            .counts(&TRANSLATED),
        row("s26_to_another_client", egress(tcp(HERE, CLIENT_OTHER.at(20_001)).syn_ack()))
            .serving(web_here())
            .after(asked()),
        row("s26_from_another_port", egress(tcp(POD.at(8081), FROM).syn_ack())).serving(web_here()).after(asked()),
        // The client has dialled the backend directly, from the port of an earlier connection through the Service.
        row("s28_to_a_client_that_came_without_the_service", egress(tcp(HERE, FROM).syn_ack()))
            .serving(web_here())
            .after(handshake_here())
            .after([egress(tcp(HERE, FROM).rst().sequence(5001, 0))])
            .flows(0, 0),
        row("s26_of_a_flow_to_another_node", egress(tcp(SNAT, BACKEND).syn()))
            .serving(web().local(NODE.at(8080)))
            .after(asked()),
    ];
    check_rows(rows);
}
