//! Namespaces, the bridge and the links. As on people's machines: nothing is set on a link that the kernel does not set by
//! itself, and forwarding is what every node turns on.

use std::process::Command;

use anyhow::Result;

use crate::{
    command,
    families::{Families, Host, bridge_prefix},
    folders::NAME,
    members::Members,
};

/// The namespace of the bridge.
const BRIDGE: &str = "bridge";

/// The name of a machine's network namespace.
pub fn namespace(host: &str) -> String {
    format!("{NAME}-{host}")
}

/// The file that names it.
pub fn namespace_file(host: &str) -> String {
    format!("/run/netns/{}", namespace(host))
}

/// Makes all of it.
pub fn make(members: Members) -> Result<()> {
    let bridge = namespace(BRIDGE);
    let mut text = format!("netns add {bridge}\n");
    for host in members.hosts() {
        text += &format!("netns add {}\n", namespace(&host.name()));
    }
    command::feed(Command::new("ip").args(["-batch", "-"]), &text)?;
    inside(BRIDGE, "link add br0 type bridge\nlink set br0 up\n")?;
    for host in members.hosts() {
        join(members, host)?;
    }
    Ok(())
}

/// Joins a machine to the bridge, with addresses and routes to the other machines' pods.
fn join(members: Members, host: Host) -> Result<()> {
    let (name, bridge) = (host.name(), namespace(BRIDGE));
    inside(&name, &format!("link add eth0 type veth peer name {name} netns {bridge}\nlink set lo up\n"))?;
    inside(BRIDGE, &format!("link set {name} master br0 up\n"))?;
    for family in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        let setting = format!("echo 1 > /proc/sys/net/{family}");
        command::output(within(&name, "sh").args(["-c", &setting]))?;
    }
    let mut text = String::from("link set eth0 up\n");
    for address in members.families.addresses(host) {
        let unique = if address.is_ipv6() { " nodad" } else { "" };
        text += &format!("address add {address}/{} dev eth0{unique}\n", bridge_prefix(address));
    }
    for number in members.numbers().filter(|number| Host::Node(*number) != host) {
        text += &pod_routes(members.families, number);
    }
    if host != Host::Control {
        for gateway in members.families.addresses(Host::Control) {
            text += &format!("route add default via {gateway}\n");
        }
    }
    inside(&name, &text)
}

/// Routes to a node's pods.
fn pod_routes(families: Families, number: u8) -> String {
    let ways = families.pod_networks(number).into_iter().zip(families.addresses(Host::Node(number)));
    ways.map(|(network, node)| format!("route add {network} via {node}\n")).collect()
}

/// A program in a machine's network namespace and the mount namespace of the caller.
pub fn within(host: &str, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", namespace_file(host))).arg(program);
    command
}

fn inside(host: &str, text: &str) -> Result<()> {
    command::feed(within(host, "ip").args(["-batch", "-"]), text)
}
