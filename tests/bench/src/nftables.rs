//! A rule set of our own, laid out as that of kube-proxy's nftables mode: one verdict map from address, protocol and port to a
//! chain for each Service, another from protocol and node port, a random choice in each Service's chain, and a chain for each
//! endpoint, which translates. It has only the rules and hooks that a connection to a ClusterIP or a node port passes.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    net::Ipv4Addr,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use harness::lab::Node;

use crate::manifests::{MEASURED, OTHER_PORT, Services, cluster_ip, endpoint, measured_node_port, other_node_port};

/// How long loading a part may take.
const WAIT_LIMIT: Duration = Duration::from_mins(2);

/// Hooks, and the chains that all Services share. Marked packets are masqueraded when they leave.
const FRAME: &str = "\
    set cluster-ips { type ipv4_addr; }
    map service-ips { type ipv4_addr . inet_proto . inet_service : verdict; }
    map no-endpoint-services { type ipv4_addr . inet_proto . inet_service : verdict; }
    map no-endpoint-nodeports { type inet_proto . inet_service : verdict; }
    map firewall-ips { type ipv4_addr . inet_proto . inet_service : verdict; }
    map service-nodeports { type inet_proto . inet_service : verdict; }
    set nodeport-ips { type ipv4_addr; elements = { 192.168.50.1 } }
    chain mark-for-masquerade { meta mark set meta mark or 0x4000; }
    chain masquerading {
        meta mark and 0x4000 == 0 return
        meta mark set meta mark xor 0x4000
        masquerade fully-random
    }
    chain cluster-ips-check {
        ip daddr @cluster-ips reject
        ip daddr 10.96.0.0/16 drop
    }
    chain nodeport-endpoints-check { ip daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports; }
    chain service-endpoints-check { ip daddr . meta l4proto . th dport vmap @no-endpoint-services; }
    chain firewall-check { ip daddr . meta l4proto . th dport vmap @firewall-ips; }
    chain filter-prerouting {
        type filter hook prerouting priority dstnat - 10
        ct state new jump firewall-check
    }
    chain filter-input {
        type filter hook input priority -110
        ct state new jump nodeport-endpoints-check
        ct state new jump service-endpoints-check
    }
    chain filter-forward {
        type filter hook forward priority -110
        ct state new jump service-endpoints-check
        ct state new jump cluster-ips-check
    }
    chain filter-output {
        type filter hook output priority -110
        ct state new jump service-endpoints-check
        ct state new jump firewall-check
    }
    chain filter-output-post-dnat {
        type filter hook output priority -90
        ct state new jump cluster-ips-check
    }
    chain nat-prerouting { type nat hook prerouting priority dstnat; jump services; }
    chain nat-output { type nat hook output priority -100; jump services; }
    chain nat-postrouting { type nat hook postrouting priority srcnat; jump masquerading; }
";

/// The chain that every new connection passes. It is filled last: the kernel checks a map again with each change once
/// a rule uses it.
const SERVICES: &str = "\
table ip bench {
    chain services {
        ip daddr . meta l4proto . th dport vmap @service-ips
        ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
    }
}
";

/// Service ports that are loaded at once. The kernel's time grows with the square of this number, and with the number
/// of loads.
const PART: usize = 500;

/// A port of a Service and its endpoints.
struct Port {
    name: String,
    address: Ipv4Addr,
    protocol: &'static str,
    number: u16,
    on_nodes: Option<u16>,
    endpoints: Vec<Ipv4Addr>,
}

/// Loads the rule set in the node's namespace.
pub fn load(node: &Node, services: &Services) -> Result<()> {
    for part in rule_set(services) {
        let mut command = Command::new("nft");
        command.args(["-f", "-"]).stdin(Stdio::piped());
        let mut nft = node.spawn(command).context("run nft: install the package nftables")?;
        nft.take_stdin().context("nft's stdin")?.write_all(part.as_bytes()).context("feed nft")?;
        if !nft.wait(WAIT_LIMIT)?.success() {
            bail!("nft refused the rule set: see its message above");
        }
    }
    // Without this, reset connections would fill the table within seconds, at a rate that no real node has.
    let close = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close";
    node.netns().inside(|| fs::write(close, "1"))?.with_context(|| format!("write {close}"))
}

/// The rule set for the Services of [`manifests::list`](crate::manifests::list), in parts that are loaded one after
/// the other.
fn rule_set(services: &Services) -> Vec<String> {
    let mut parts = vec![format!("table ip bench {{\n{FRAME}    chain services {{ }}\n}}\n")];
    parts.extend(ports(services).chunks(PART).map(part));
    parts.push(SERVICES.into());
    parts
}

/// The chains and elements of some ports.
fn part(ports: &[Port]) -> String {
    let mut text = String::from("table ip bench {\n");
    for port in ports {
        write_endpoints(&mut text, port);
        write_service(&mut text, port);
    }
    text += "}\nadd element ip bench service-ips {\n";
    for Port { name, address, protocol, number, .. } in ports {
        line(&mut text, &format!("    {address} . {protocol} . {number} : goto service-{name},"));
    }
    text += "}\n";
    write_node_ports(&mut text, ports);
    text += "add element ip bench cluster-ips {\n";
    let mut addresses: Vec<_> = ports.iter().map(|port| port.address).collect();
    addresses.dedup();
    for address in addresses {
        line(&mut text, &format!("    {address},"));
    }
    text + "}\n"
}

/// The elements of the node ports. Nothing if there are none, since an empty list is an error.
fn write_node_ports(text: &mut String, ports: &[Port]) {
    let elements: Vec<_> = ports
        .iter()
        .filter_map(|port| Some(format!("{} . {} : goto external-{}", port.protocol, port.on_nodes?, port.name)))
        .collect();
    if !elements.is_empty() {
        line(text, &format!("add element ip bench service-nodeports {{\n    {}\n}}", elements.join(",\n    ")));
    }
}

fn ports(services: &Services) -> Vec<Port> {
    let Services { count, endpoints, backend, node_ports } = *services;
    let measured = MEASURED.map(|(name, protocol, number)| Port {
        name: format!("measured-{name}"),
        address: cluster_ip(0),
        protocol: if protocol == "UDP" { "udp" } else { "tcp" },
        number,
        on_nodes: node_ports.then(|| measured_node_port(number)),
        endpoints: vec![backend],
    });
    let others = (1..count).map(|number| Port {
        name: format!("s{number}"),
        address: cluster_ip(number),
        protocol: "tcp",
        number: OTHER_PORT,
        on_nodes: node_ports.then(|| other_node_port(number)),
        endpoints: (0..endpoints).map(|index| endpoint(number, index, endpoints)).collect(),
    });
    measured.into_iter().chain(others).collect()
}

/// The chain of an endpoint. An endpoint that connects to itself is masqueraded.
fn write_endpoints(text: &mut String, Port { name, protocol, number, endpoints, .. }: &Port) {
    for (index, endpoint) in endpoints.iter().enumerate() {
        line(text, &format!("    chain endpoint-{name}-{index} {{"));
        line(text, &format!("        ip saddr {endpoint} jump mark-for-masquerade"));
        line(text, &format!("        meta l4proto {protocol} dnat to {endpoint}:{number}\n    }}"));
    }
}

/// The Service's chain: masquerades clients outside of the pods, and all clients of the node port, then chooses an
/// endpoint.
fn write_service(text: &mut String, Port { name, address, protocol, number, on_nodes, endpoints }: &Port) {
    line(text, &format!("    chain service-{name} {{"));
    let from = "ip saddr != 10.0.0.0/8";
    line(text, &format!("        ip daddr {address} {protocol} dport {number} {from} jump mark-for-masquerade"));
    let choices: Vec<_> = (0..endpoints.len()).map(|index| format!("{index} : goto endpoint-{name}-{index}")).collect();
    line(text, &format!("        numgen random mod {} vmap {{ {} }}\n    }}", endpoints.len(), choices.join(", ")));
    if on_nodes.is_some() {
        line(text, &format!("    chain external-{name} {{ jump mark-for-masquerade; goto service-{name}; }}"));
    }
}

fn line(text: &mut String, line: &str) {
    // Writing to a string can't fail.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_is_in_the_map_and_has_its_chains() {
        let backend = Ipv4Addr::new(10, 244, 1, 1);
        let text = rule_set(&Services { count: 3, endpoints: 2, backend, node_ports: true }).concat();
        for wanted in [
            "10.96.0.10 . tcp . 7001 : goto service-measured-accept,",
            "10.96.0.12 . tcp . 80 : goto service-s2,",
            "numgen random mod 2 vmap { 0 : goto endpoint-s2-0, 1 : goto endpoint-s2-1 }",
            "meta l4proto udp dnat to 10.244.1.1:7002",
            "tcp . 10102 : goto external-s2",
            "udp . 10002 : goto external-measured-echo-udp",
        ] {
            assert!(text.contains(wanted), "{wanted} is missing in {text}");
        }
        assert_eq!(text.matches("chain endpoint-").count(), 4 + 2 * 2);
    }
}
