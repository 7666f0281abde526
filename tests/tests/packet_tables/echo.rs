//! Echo requests to Services' addresses: answered while a backend is usable (S20).

use harness::{
    packet::{echo_reply, echo_request},
    test_run::{check_rows, ingress, places::*, row},
};

use super::*;

#[test]
fn s20_echo_is_answered_in_a_services_name() {
    let answered = [Counter::EchoReply];
    let request = || echo_request(CLIENT, CLUSTER_IP);
    let rows = vec![
        row("s20_a_cluster_ip", ingress(request()))
            .serving(web())
            .is_answered_by(request().answered())
            .counts(&answered),
        row("s20_with_a_backend_here", ingress(request()))
            .serving(web_here())
            .is_answered_by(request().answered())
            .counts(&answered),
        row("s20_a_long_one", ingress(request().payload_length(1400)))
            .serving(web())
            .is_answered_by(request().payload_length(1400).answered())
            .counts(&answered),
        row("s20_a_wrong_checksum_is_not_repaired", ingress(request().wrong_checksum()))
            .serving(web())
            .is_answered_by(request().answered().wrong_checksum())
            .counts(&answered),
        row("s20_the_answer_has_its_own_hop_limit", ingress(request().ttl(1)))
            .serving(web())
            .is_answered_by(request().answered())
            .counts(&answered),
        row("s20_an_external_ip", ingress(echo_request(CLIENT, EXTERNAL)))
            .serving(web())
            .is_answered_by(echo_request(CLIENT, EXTERNAL).answered())
            .counts(&answered),
        row("s20_from_far_away", ingress(request().ttl(3)))
            .serving(web_here())
            .is_answered_by(request().answered())
            .counts(&answered),
        row("s20_without_usable_backend", ingress(request())).serving(bare()),
        row("s20_an_unowned_address", ingress(echo_request(CLIENT, UNOWNED)))
            .serving(web())
            .drops()
            .counts(&[Counter::DropUnownedAddress]),
        row("s20_a_part_of_a_request", ingress(request().payload_length(100).fragment(0..56))).serving(web()),
        row("s20_another_part_of_a_request", ingress(request().payload_length(100).fragment(56..108))).serving(web()),
        row("s20_other_icmp", ingress(request().transport_byte(0, 200))).serving(web()),
        row("s20_the_node", ingress(echo_request(CLIENT, NODE))).serving(web()),
        row("s20_a_reply_is_no_request", ingress(echo_reply(CLIENT, NODE))).serving(web()),
    ];
    check_rows(rows);
}
