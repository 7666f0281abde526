//! Ports: whether the agent's own are free, and whether the host's sockets may take node ports.

use std::{fs, io, ops::RangeInclusive};

use super::finding::Finding;
use crate::{
    config::{HEALTH_PORT, METRICS_PORT},
    logging::errors::Report,
    node::snat_ports::SnatPorts,
};

/// The state of a socket that listens (TCP_LISTEN in include/net/tcp_states.h).
const LISTEN: &str = "0A";

/// Looks at the ports. `agent` is the instance whose agent answers at the default address, if one does.
pub(super) fn findings(node_ports: &RangeInclusive<u16>, agent: Option<&str>) -> Vec<Finding> {
    let listening = listening();
    let own = [(HEALTH_PORT, "--healthz-bind-address"), (METRICS_PORT, "--metrics-bind-address")];
    let mut findings: Vec<_> = own.into_iter().map(|(port, flag)| own_port(port, flag, &listening, agent)).collect();
    match SnatPorts::read() {
        Ok(ports) => findings.extend([of_node_ports(node_ports, &ports), of_source_ports(&ports)]),
        Err(error) => findings.push(Finding::unseen("ip_local_port_range", Report(&error))),
    }
    findings
}

/// Returns the TCP ports of this network namespace that a socket listens at.
fn listening() -> io::Result<Vec<u16>> {
    // The second file does not exist without IPv6.
    let ipv6 = fs::read_to_string("/proc/thread-self/net/tcp6").unwrap_or_default();
    let text = fs::read_to_string("/proc/thread-self/net/tcp")? + &ipv6;
    Ok(text.lines().filter_map(listener).collect())
}

/// Returns the port of a line of /proc/net/tcp (proc_net_tcp in the kernel's documentation) if its socket listens.
fn listener(line: &str) -> Option<u16> {
    let mut fields = line.split_whitespace();
    let (local, _, state) = (fields.nth(1)?, fields.next()?, fields.next()?);
    let (_, port) = local.rsplit_once(':')?;
    u16::from_str_radix(port, 16).ok().filter(|_| state == LISTEN)
}

fn own_port(port: u16, flag: &str, listening: &io::Result<Vec<u16>>, agent: Option<&str>) -> Finding {
    let subject = format!("port {port}");
    let listening = match listening {
        Ok(listening) => listening,
        Err(error) => return Finding::unseen(subject, Report(error)),
    };
    match (listening.contains(&port), agent) {
        (false, _) => Finding::ok(subject, "free"),
        (true, Some(instance)) => Finding::ok(subject, format!("in use, by Waggle's instance {instance}")),
        (true, None) => Finding::warning(
            subject,
            "in use by another process: the agent serves it only when it is free",
            format!("stop that process (kube-proxy?), or choose another port with {flag}"),
        ),
    }
}

fn of_node_ports(node_ports: &RangeInclusive<u16>, ports: &SnatPorts) -> Finding {
    let (first, last) = (node_ports.start(), node_ports.end());
    match ports.ephemeral_in(node_ports) {
        0 => Finding::ok("node ports", format!("{first}-{last}: the host's sockets get none of them by themselves")),
        count => Finding::warning(
            "node ports",
            format!("{count} of {first}-{last} are in net.ipv4.ip_local_port_range: the host's sockets may take them"),
            format!("narrow the range, or set net.ipv4.ip_local_reserved_ports to {first}-{last}"),
        ),
    }
}

fn of_source_ports(ports: &SnatPorts) -> Finding {
    let free = ports.free();
    if ports.is_short() {
        Finding::warning(
            "source ports",
            format!(
                "{free} ports are outside net.ipv4.ip_local_port_range: forwarded packets share ports with the host's sockets"
            ),
            "narrow the range to leave 4096 ports free",
        )
    } else {
        Finding::ok("source ports", format!("{free} for packets that are forwarded to other nodes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::check::finding::Level;

    #[test]
    fn sockets_that_listen_are_found() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2809 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 00000000000000000000000000000000:2810 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 2 1 0
   2: 0100007F:9C40 0100007F:2809 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 100 0 0 10 0";
        assert_eq!(table.lines().filter_map(listener).collect::<Vec<_>>(), [10_249, 10_256]);
    }

    #[test]
    fn a_port_in_use_is_waggles_own_or_anothers() {
        let listening = Ok(vec![10_249]);
        let levels = [(10_249, None), (10_249, Some("default")), (10_256, None)]
            .map(|(port, agent)| own_port(port, "--metrics-bind-address", &listening, agent).level);
        assert_eq!(levels, [Level::Warning, Level::Ok, Level::Ok]);
    }

    #[test]
    fn ports_of_both_uses_are_warned_of() {
        let ports = |range, reserved| SnatPorts::parse(range, reserved).unwrap();
        let node_ports = 30_000..=32_767;
        let (usual, wide) = (ports("32768 60999", ""), ports("1024 65535", ""));
        assert_eq!([&usual, &wide].map(|ports| of_node_ports(&node_ports, ports).level), [Level::Ok, Level::Warning]);
        assert_eq!(of_node_ports(&node_ports, &ports("1024 65535", "30000-32767")).level, Level::Ok);
        assert_eq!([&usual, &wide].map(|ports| of_source_ports(ports).level), [Level::Ok, Level::Warning]);
    }
}
