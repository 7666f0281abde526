//! A rule set of our own making that is laid out as that of kube-proxy's nftables mode: one verdict map from address,
//! protocol and port to a chain a Service, a random choice there, and a chain an endpoint that translates. Only what a
//! connection to a ClusterIP passes is there; every hook that one passes is.

use std::{fmt::Write as _, net::Ipv4Addr};

use crate::{
    manifests::{OTHER_PORT, cluster_ip, endpoint},
    orders::{ACCEPT, ECHO, SINK},
};

/// Hooks, and the chains that all Services share. What is marked leaves masqueraded.
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

/// The chain that every new connection passes, filled last: what is in a map that is used is checked again and again.
const SERVICES: &str = "\
table ip bench {
    chain services {
        ip daddr . meta l4proto . th dport vmap @service-ips
        ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
    }
}
";

/// Service ports loaded at once. The kernel's time grows with the square of it, and with the number of loads.
const PART: usize = 500;

/// A port of a Service and its endpoints.
struct Port {
    name: String,
    address: Ipv4Addr,
    protocol: &'static str,
    number: u16,
    endpoints: Vec<Ipv4Addr>,
}

/// The rule set with as many Services as [`manifests::list`](crate::manifests::list) has, in parts to be loaded one
/// after the other.
pub fn rule_set(services: u32, endpoints: u32, backend: Ipv4Addr) -> Vec<String> {
    let mut parts = vec![format!("table ip bench {{\n{FRAME}    chain services {{ }}\n}}\n")];
    parts.extend(ports(services, endpoints, backend).chunks(PART).map(part));
    parts.push(SERVICES.into());
    parts
}

/// Chains and elements of some ports.
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
    text += "}\nadd element ip bench cluster-ips {\n";
    let mut addresses: Vec<_> = ports.iter().map(|port| port.address).collect();
    addresses.dedup();
    for address in addresses {
        line(&mut text, &format!("    {address},"));
    }
    text + "}\n"
}

fn ports(services: u32, endpoints: u32, backend: Ipv4Addr) -> Vec<Port> {
    let measured = [("tcp", ACCEPT), ("tcp", ECHO), ("tcp", SINK), ("udp", ECHO)].map(|(protocol, port)| Port {
        name: format!("measured-{protocol}-{port}"),
        address: cluster_ip(0),
        protocol,
        number: port,
        endpoints: vec![backend],
    });
    let others = (1..services).map(|number| Port {
        name: format!("s{number}"),
        address: cluster_ip(number),
        protocol: "tcp",
        number: OTHER_PORT,
        endpoints: (0..endpoints).map(|index| endpoint(number, index, endpoints)).collect(),
    });
    measured.into_iter().chain(others).collect()
}

/// One chain an endpoint; one that connects to itself is masqueraded.
fn write_endpoints(text: &mut String, Port { name, protocol, number, endpoints, .. }: &Port) {
    for (index, endpoint) in endpoints.iter().enumerate() {
        line(text, &format!("    chain endpoint-{name}-{index} {{"));
        line(text, &format!("        ip saddr {endpoint} jump mark-for-masquerade"));
        line(text, &format!("        meta l4proto {protocol} dnat to {endpoint}:{number}\n    }}"));
    }
}

/// The Service's chain: who comes from outside of the pods is masqueraded, then an endpoint is chosen.
fn write_service(text: &mut String, Port { name, address, protocol, number, endpoints }: &Port) {
    line(text, &format!("    chain service-{name} {{"));
    let from = "ip saddr != 10.0.0.0/8";
    line(text, &format!("        ip daddr {address} {protocol} dport {number} {from} jump mark-for-masquerade"));
    let choices: Vec<_> = (0..endpoints.len()).map(|index| format!("{index} : goto endpoint-{name}-{index}")).collect();
    line(text, &format!("        numgen random mod {} vmap {{ {} }}\n    }}", endpoints.len(), choices.join(", ")));
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
        let text = rule_set(3, 2, Ipv4Addr::new(10, 244, 1, 1)).concat();
        for wanted in [
            "10.96.0.10 . tcp . 7001 : goto service-measured-tcp-7001,",
            "10.96.0.12 . tcp . 80 : goto service-s2,",
            "numgen random mod 2 vmap { 0 : goto endpoint-s2-0, 1 : goto endpoint-s2-1 }",
            "meta l4proto udp dnat to 10.244.1.1:7002",
        ] {
            assert!(text.contains(wanted), "{wanted} is missing in {text}");
        }
        assert_eq!(text.matches("chain endpoint-").count(), 4 + 2 * 2);
    }
}
