//! Namespaces, the bridge and the links. As on real machines, links have the kernel's own settings, and every node
//! enables forwarding.

use std::process::Command;

use anyhow::Result;

use crate::{
    command,
    families::{Families, Host, bridge_prefix},
    folders::NAME,
    members::Members,
};

/// The namespace of the bridge.
pub const BRIDGE: &str = "bridge";

/// The name of a machine's network namespace.
pub fn namespace(host: &str) -> String {
    format!("{NAME}-{host}")
}

/// The file that names a machine's network namespace.
pub fn namespace_file(host: &str) -> String {
    format!("/run/netns/{}", namespace(host))
}

/// Makes the bridge and all machines' namespaces and links.
pub fn make(members: Members) -> Result<()> {
    add(BRIDGE)?;
    inside(BRIDGE, &["link add br0 type bridge".into(), "link set br0 up".into()])?;
    members.hosts().try_for_each(|host| join(members, host))
}

fn add(name: &str) -> Result<()> {
    command::output(Command::new("ip").args(["netns", "add", &namespace(name)])).map(drop)
}

/// Removes a machine's link and namespace. The kernel removes what is in a namespace some time later, so the link is
/// removed explicitly.
pub fn remove(host: Host) -> Result<()> {
    inside(BRIDGE, &[format!("link delete {}", host.name())])?;
    command::output(Command::new("ip").args(["netns", "del", &namespace(&host.name())])).map(drop)
}

/// Makes a machine's namespace and joins it to the bridge, with addresses and routes to the other machines' pods.
pub fn join(members: Members, host: Host) -> Result<()> {
    let (name, bridge) = (host.name(), namespace(BRIDGE));
    add(&name)?;
    let link = format!("link add eth0 type veth peer name {name} netns {bridge}");
    inside(&name, &[link, "link set lo up".into()])?;
    inside(BRIDGE, &[format!("link set {name} master br0 up")])?;
    for family in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        let setting = format!("echo 1 > /proc/sys/net/{family}");
        command::output(within(&name, "sh").args(["-c", &setting]))?;
    }
    let mut lines = vec![String::from("link set eth0 up")];
    lines.extend(members.families.addresses(host).into_iter().map(|address| {
        let unique = if address.is_ipv6() { " nodad" } else { "" };
        format!("address add {address}/{} dev eth0{unique}", bridge_prefix(address))
    }));
    let others = members.numbers().filter(|number| Host::Node(*number) != host);
    lines.extend(others.flat_map(|number| pod_routes(members.families, number)));
    if host != Host::Control {
        let gateways = members.families.addresses(Host::Control).into_iter();
        lines.extend(gateways.map(|gateway| format!("route add default via {gateway}")));
    }
    inside(&name, &lines)
}

/// Routes to a node's pods.
fn pod_routes(families: Families, number: u8) -> impl Iterator<Item = String> {
    let ways = families.pod_networks(number).into_iter().zip(families.addresses(Host::Node(number)));
    ways.map(|(network, node)| format!("route add {network} via {node}"))
}

/// A program in a machine's network namespace and the mount namespace of the caller.
pub fn within(host: &str, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", namespace_file(host))).arg(program);
    command
}

fn inside(host: &str, lines: &[String]) -> Result<()> {
    command::feed(within(host, "ip").args(["-batch", "-"]), &lines.join("\n"))
}
