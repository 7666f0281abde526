//! The examples with one state: which backends answer at which addresses.

use std::{
    io::Read as _,
    process::{Command, Stdio},
};

use harness::{
    lab::{Client, Host, Transport, find_program, typed::Page},
    scene::{WAIT_LIMIT, expect, expect_by},
};

use super::Machine;

/// Its servers.
const WEB: [(&str, &[&str]); 2] = [("web-1", &["192.168.50.11:8080"]), ("web-2", &["192.168.50.12:8080"])];

/// Waits until these servers answer a client at each socket, over TCP.
fn answers(client: &Client, sockets: &[&str], servers: &[&str]) {
    for socket in sockets {
        expect_by(client, Transport::Tcp, socket.parse().unwrap(), servers);
    }
}

#[test]
fn two_web_servers_share_an_address_also_without_the_agent() {
    let servers = ["web-1", "web-2"];
    let mut machine = Machine::start("two-web-servers", &WEB);
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

/// Types a command on a machine, and returns what it prints.
fn shell(host: &Host, line: &str) -> String {
    let mut shell = Command::new("sh");
    shell.args(["-ec", line]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = host.spawn(shell).unwrap();
    let (mut printed, mut errors) = (String::new(), String::new());
    process.take_stdout().unwrap().read_to_string(&mut printed).unwrap();
    process.take_stderr().unwrap().read_to_string(&mut errors).unwrap();
    assert!(process.wait(WAIT_LIMIT).unwrap().success(), "{line}: {errors}{printed}");
    printed
}

#[test]
fn the_commands_for_two_web_servers_print_what_the_page_shows() {
    let machine = Machine::start("two-web-servers", &WEB);
    let [forward] = Page::Standalone.commands("Install", "sysctl").unwrap();
    shell(&machine.node, &forward);
    let [from_outside, by_cluster_ip] = Page::Standalone.commands("Two web servers", "for ").unwrap();
    let [once] = Page::Standalone.commands("Two web servers", "curl ").unwrap();
    let [get] = Page::Standalone.commands("Two web servers", "waggle get").unwrap();
    for (host, line, requests) in
        [(&*machine.laptop, from_outside, 4), (&*machine.node, by_cluster_ip, 4), (&*machine.node, once, 1)]
    {
        let printed = shell(host, &line);
        let is_name = |name: &str| WEB.iter().any(|(server, _)| *server == name);
        assert!(printed.lines().count() == requests && printed.lines().all(is_name), "{line}: {printed}");
    }
    let waggle = find_program("waggle", "WAGGLE_BIN").unwrap().display().to_string();
    let own = format!("{} --instance {}", get.replace("waggle", &waggle), machine.node.instance());
    let printed = shell(&machine.node, &own);
    let page = Page::Standalone.text().unwrap();
    assert!(page.contains(&format!("$ {get}\n{printed}```")), "{get}: {printed}");
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
    let [take_out] = Page::Standalone.commands("DNS", "sed ").unwrap();
    machine.edit(&take_out);
    serve(&["dns-2"]);
    machine.edit("sed -i 's/ready: false/ready: true/' dns.yaml");
    serve(&["dns-1", "dns-2"]);
}
