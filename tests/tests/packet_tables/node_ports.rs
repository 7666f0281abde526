//! Node ports (S19): to backends on other nodes and on this one, by every protocol.

use harness::{
    packet::{sctp, tcp, udp},
    test_run::{check_rows, ingress, places::*, row},
};

use super::*;

#[test]
fn s19_a_node_port_leads_to_other_nodes() {
    let rows = vec![
        row("s19_tcp", ingress(tcp(FROM, NODE_PORT).syn()))
            .serving(web())
            .leaves_as(tcp(SNAT, BACKEND).syn().ttl(63))
            .counts(&OPENED)
            .flows(0, 1),
        row("s19_udp", ingress(udp(FROM, NODE_PORT)))
            .serving(dns())
            .leaves_as(udp(SNAT, BACKEND).ttl(63))
            .counts(&OPENED)
            .flows(0, 2),
        row("s19_sctp", ingress(sctp(FROM, NODE_PORT)))
            .serving(web().protocol(Protocol::Sctp))
            .leaves_as(sctp(SNAT, BACKEND).ttl(63))
            .counts(&OPENED)
            .flows(0, 2),
        row("s19_sctp_to_the_same_port", ingress(sctp(FROM, NODE_PORT)))
            .serving(bare().protocol(Protocol::Sctp).remote(REMOTE.at(30_080)))
            .leaves_as(sctp(SNAT, REMOTE.at(30_080)).ttl(63))
            .counts(&OPENED),
        row("s19_over_another_device", ingress(tcp(FROM, NODE_PORT).syn()))
            .serving(bare().remote(FAR.at(8080)))
            .leaves_as(tcp(SNAT, FAR.at(8080)).syn().ttl(63))
            .counts(&OPENED),
        row("s19_udp_over_another_device", ingress(udp(FROM, NODE_PORT)))
            .serving(bare().protocol(Protocol::Udp).remote(FAR.at(8080)))
            .leaves_as(udp(SNAT, FAR.at(8080)).ttl(63))
            .counts(&OPENED),
        row("s19_one_protocol_beside_the_other", ingress(udp(FROM, NODE_PORT)))
            .serving(web())
            .serving(service("other").protocol(Protocol::Udp).node_port(30_080).remote(REMOTE_OTHER.at(53)))
            .leaves_as(udp(SNAT, REMOTE_OTHER.at(53)).ttl(63))
            .counts(&OPENED),
        row("s19_a_client_on_the_same_link", ingress(tcp(REMOTE_OTHER.at(20_001), NODE_PORT).syn()))
            .serving(web())
            .leaves_as(tcp(SNAT, BACKEND).syn().ttl(63))
            .counts(&OPENED),
        row("s27_the_backend_is_its_own_client", ingress(tcp(REMOTE.at(20_001), NODE_PORT).syn()))
            .serving(web())
            .leaves_as(tcp(SNAT, BACKEND).syn().ttl(63))
            .counts(&OPENED),
        row("s27_the_backend_is_its_own_client_by_its_own_port", ingress(udp(REMOTE.at(8080), NODE_PORT)))
            .serving(dns())
            .leaves_as(udp(NODE.at(8080), BACKEND).ttl(63))
            .counts(&OPENED),
        row("s10_a_service_of_another_protocol_only", ingress(tcp(FROM, NODE_PORT).syn())).serving(dns()),
    ];
    check_rows(rows);
}

#[test]
fn s26_a_backend_on_this_node_sees_the_client() {
    let rows = vec![
        row("s26_tcp", ingress(tcp(FROM, NODE_PORT).syn()))
            .serving(web_here())
            .becomes(tcp(FROM, HERE).syn())
            .counts(&OPENED_HERE)
            .flows(0, 1),
        row("s26_udp", ingress(udp(FROM, NODE_PORT)))
            .serving(dns_here())
            .becomes(udp(FROM, HERE))
            .counts(&OPENED_HERE)
            .flows(0, 2),
        row("s26_sctp", ingress(sctp(FROM, NODE_PORT)))
            .serving(web_here().protocol(Protocol::Sctp))
            .becomes(sctp(FROM, HERE))
            .counts(&OPENED_HERE)
            .flows(0, 2),
        row("s26_an_ephemeral_port_is_kept", ingress(tcp(CLIENT.at(45_000), NODE_PORT).syn()))
            .serving(web_here())
            .becomes(tcp(CLIENT.at(45_000), HERE).syn())
            .counts(&OPENED_HERE),
        row("s26_a_low_port_is_kept", ingress(tcp(CLIENT.at(500), NODE_PORT).syn()))
            .serving(web_here())
            .becomes(tcp(CLIENT.at(500), HERE).syn())
            .counts(&OPENED_HERE),
        row("s26_the_last_hop_needs_no_hop_limit", ingress(tcp(FROM, NODE_PORT).syn().ttl(1)))
            .serving(web_here())
            .becomes(tcp(FROM, HERE).syn().ttl(1))
            .counts(&OPENED_HERE),
        row("s26_a_process_of_the_node", ingress(tcp(FROM, NODE_PORT).syn()))
            .serving(bare().local(NODE.at(8080)))
            .becomes(tcp(FROM, NODE.at(8080)).syn())
            .counts(&OPENED_HERE),
        row("s26_a_process_of_the_node_on_the_node_port_itself", ingress(tcp(FROM, NODE_PORT).syn()))
            .serving(bare().local(NODE_PORT))
            .becomes(tcp(FROM, NODE_PORT).syn())
            .counts(&OPENED_HERE),
    ];
    check_rows(rows);
}
