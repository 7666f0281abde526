//! The examples with one state: who answers where.

use std::process::Command;

use harness::{
    lab::{Client, Transport, find_program},
    scene::{expect, expect_by},
};

use super::Machine;

/// Waits until these servers answer a client at each socket, over TCP.
fn answers(client: &Client, sockets: &[&str], servers: &[&str]) {
    for socket in sockets {
        expect_by(client, Transport::Tcp, socket.parse().unwrap(), servers);
    }
}

#[test]
fn two_web_servers_share_an_address_also_without_the_agent() {
    let servers = ["web-1", "web-2"];
    let mut machine =
        Machine::start("two-web-servers", &[("web-1", &["192.168.50.11:8080"]), ("web-2", &["192.168.50.12:8080"])]);
    let serve = |machine: &Machine| {
        answers(&machine.local, &["10.96.0.10:80", "192.168.50.1:80"], &servers);
        answers(&machine.outside, &["192.168.50.1:80"], &servers);
    };
    serve(&machine);
    assert!(machine.waggle.stop().unwrap().success());
    serve(&machine);
    let mut cleanup = Command::new(find_program("waggle", "WAGGLE_BIN").unwrap());
    let output = cleanup.args(["cleanup", "--instance", &machine.node.instance()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    answers(&machine.outside, &["192.168.50.1:80"], &["ECONNREFUSED"]);
}

#[test]
fn a_dual_stack_service_has_servers_of_both_families() {
    let machine = Machine::start(
        "dual-stack",
        &[
            ("site-1", &["192.168.50.11:8080", "[fd00:50::11]:8080"]),
            ("site-2", &["192.168.50.12:8080", "[fd00:50::12]:8080"]),
        ],
    );
    let (external, servers) = (["192.168.50.1:8080", "[fd00:50::1]:8080"], ["site-1", "site-2"]);
    answers(&machine.local, &["10.96.0.24:8080", "[fd00:10:96::24]:8080"], &servers);
    answers(&machine.local, &external, &servers);
    answers(&machine.outside, &external, &servers);
}

#[test]
fn a_dns_server_that_is_not_ready_gets_no_queries() {
    let machine = Machine::start("dns", &[("dns-1", &["192.168.50.53:53"]), ("dns-2", &["192.168.50.54:53"])]);
    // Over TCP, and over UDP with connected and unconnected sockets.
    let serve = |servers: &[&str]| {
        expect(&machine.local, "10.96.0.53:53".parse().unwrap(), servers);
        expect(&machine.local, "192.168.50.1:53".parse().unwrap(), servers);
        expect(&machine.outside, "192.168.50.1:53".parse().unwrap(), servers);
    };
    serve(&["dns-1", "dns-2"]);
    machine.edit("sed -i '0,/ready: true/s//ready: false/' dns.yaml");
    serve(&["dns-2"]);
    machine.edit("sed -i 's/ready: false/ready: true/' dns.yaml");
    serve(&["dns-1", "dns-2"]);
}
