//! Cluster IPs, externalIPs and load balancers' addresses for packets from outside (S18, S20, S21).

use harness::{
    packet::{Place, tcp, udp},
    test_run::{Row, check_rows, ingress, places::*, row},
};

use super::*;

fn opened(name: &'static str, frontend: Place) -> Row {
    row(name, ingress(tcp(FROM, frontend.at(80)).syn()))
}

#[test]
fn s18_every_address_of_a_service_leads_to_its_backends() {
    let mut rows = Vec::new();
    for (names, frontend) in [
        (["s18_cluster_ip", "s26_cluster_ip", "s18_cluster_ip_udp", "s26_cluster_ip_udp"], CLUSTER_IP),
        (["s18_external_ip", "s26_external_ip", "s18_external_ip_udp", "s26_external_ip_udp"], EXTERNAL),
        (["s18_load_balancer", "s26_load_balancer", "s18_load_balancer_udp", "s26_load_balancer_udp"], BALANCER),
    ] {
        rows.extend([
            opened(names[0], frontend).serving(web()).leaves_as(tcp(SNAT, BACKEND).syn().ttl(63)).counts(&OPENED),
            opened(names[1], frontend).serving(web_here()).becomes(tcp(FROM, HERE).syn()).counts(&OPENED_HERE),
            row(names[2], ingress(udp(FROM, frontend.at(80))))
                .serving(dns())
                .leaves_as(udp(SNAT, BACKEND).ttl(63))
                .counts(&OPENED),
            row(names[3], ingress(udp(FROM, frontend.at(80))))
                .serving(dns_here())
                .becomes(udp(FROM, HERE))
                .counts(&OPENED_HERE),
        ]);
    }
    rows.push(
        opened("s11_beside_another_service", CLUSTER_IP)
            .serving(service("other").cluster_ip(CLUSTER_IP_OTHER).remote(REMOTE_OTHER.at(1)))
            .serving(web())
            .leaves_as(tcp(SNAT, BACKEND).syn().ttl(63))
            .counts(&OPENED),
    );
    check_rows(rows);
}

#[test]
fn s20_an_unowned_address_of_the_service_cidr_is_unreachable() {
    let unowned =
        |name, packet| row(name, ingress(packet)).serving(web()).drops().counts(&[Counter::DropUnownedAddress]);
    let rows = vec![
        unowned("s20_tcp", tcp(FROM, UNOWNED.at(80)).syn()),
        unowned("s20_tcp_in_the_middle", tcp(FROM, UNOWNED.at(80)).data()),
        unowned("s20_udp", udp(FROM, UNOWNED.at(53))),
        unowned("s20_sctp", harness::packet::sctp(FROM, UNOWNED.at(53))),
        unowned("s20_the_node_port_there", tcp(FROM, UNOWNED.at(30_080)).syn()),
        unowned("s20_another_protocol", harness::packet::other(47, CLIENT, UNOWNED)),
        row("s20_an_address_whose_service_is_gone", ingress(tcp(FROM, CLUSTER_IP.at(80)).syn()))
            .serving(service("other").cluster_ip(CLUSTER_IP_OTHER).remote(BACKEND))
            .drops()
            .counts(&[Counter::DropUnownedAddress]),
    ];
    check_rows(rows);
}

#[test]
fn s21_source_ranges_filter_load_balancers_only() {
    const RANGES: [&str; 2] = ["198.51.100.0/24", "2001:db8:51::/48"];
    let syn = |client: Place, frontend: End| ingress(tcp(client.at(20_001), frontend).syn());
    let forwarded = |row: Row| row.leaves_as(tcp(SNAT, BACKEND).syn().ttl(63)).counts(&OPENED);
    let dropped = |row: Row| row.drops().counts(&[Counter::DropSourceRange]).flows(0, 0);
    let balancer = BALANCER.at(80);
    let rows = vec![
        forwarded(row("s21_inside", syn(CLIENT, balancer)).serving(web().ranges(&RANGES))),
        dropped(row("s21_outside", syn(CLIENT_ELSEWHERE, balancer)).serving(web().ranges(&RANGES))),
        dropped(row("s21_outside_of_a_local_one", syn(CLIENT_ELSEWHERE, balancer)).serving(web_here().ranges(&RANGES))),
        dropped(
            row("s21_outside_by_udp", ingress(udp(CLIENT_ELSEWHERE.at(20_001), balancer)))
                .serving(dns().ranges(&RANGES)),
        ),
        dropped(row("s21_a_drop_wins_over_a_reject", syn(CLIENT_ELSEWHERE, balancer)).serving(bare().ranges(&RANGES))),
        forwarded(row("s21_not_node_ports", syn(CLIENT_ELSEWHERE, NODE_PORT)).serving(web().ranges(&RANGES))),
        forwarded(row("s21_not_external_ips", syn(CLIENT_ELSEWHERE, EXTERNAL.at(80))).serving(web().ranges(&RANGES))),
        forwarded(row("s21_not_cluster_ips", syn(CLIENT_ELSEWHERE, CLUSTER_IP.at(80))).serving(web().ranges(&RANGES))),
        dropped(
            row("s21_the_middle_of_a_connection", ingress(tcp(CLIENT_ELSEWHERE.at(20_001), balancer).data()))
                .serving(web().ranges(&RANGES)),
        ),
        dropped(
            row("s21_a_single_address", syn(CLIENT_OTHER, balancer))
                .serving(web().ranges(&["198.51.100.10/32", "2001:db8:51::10/128"])),
        ),
        forwarded(row("s21_prefixes_within_prefixes", syn(CLIENT, balancer)).serving(web().ranges(&[
            "198.51.0.0/16",
            "198.51.100.0/24",
            "2001:db8::/32",
        ]))),
        forwarded(
            row("s21_ranges_of_another_service", syn(CLIENT_ELSEWHERE, balancer))
                .serving(web())
                .serving(service("other").load_balancer(BESIDE).ranges(&RANGES).remote(BACKEND)),
        ),
    ];
    check_rows(rows);
}
