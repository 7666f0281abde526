//! Packets that are no Service's: untouched and uncounted, whatever they are.

use harness::{
    packet::{Extension, echo_request, other, tcp, udp},
    test_run::{check_rows, egress, ingress, places::*, row, service},
};

#[test]
fn s20_packets_of_no_service_pass_untouched() {
    let web = || service("web").cluster_ip(CLUSTER_IP).node_port(30080).external_ip(EXTERNAL).remote(REMOTE.at(8080));
    let rows = vec![
        row("s19_another_port_of_the_node", ingress(tcp(CLIENT.at(20001), NODE.at(22)).syn())).serving(web()),
        row("s20_an_address_that_shares_the_filter", ingress(tcp(CLIENT.at(20001), BESIDE.at(80)).syn()))
            .serving(web()),
    ];
    check_rows("bystanders", rows);
}
