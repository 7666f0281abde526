//! kube-proxy's virtual servers of IPVS: found in the output of `ipvsadm --save -n`, deleted by `ipvsadm --restore`. Virtual
//! servers of other programs on the node (keepalived) are kept.

use std::{
    collections::BTreeSet,
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use super::{
    KubeProxyError,
    names::{NODE_PORTS, of_ipv6},
    program::Program,
};

/// The kernel's lists of virtual servers and connections. The files do not exist without IPVS.
const SERVERS: &str = "/proc/thread-self/net/ip_vs";
const CONNECTIONS: &str = "/proc/thread-self/net/ip_vs_conn";
const IPVSADM: Program = Program { name: "ipvsadm", package: "ipvsadm" };

/// The addresses and ports by which kube-proxy's virtual servers are known.
#[derive(Clone, Debug, Default)]
pub(super) struct Own {
    /// The addresses of the device kube-ipvs0.
    pub addresses: BTreeSet<IpAddr>,
    /// The ports in kube-proxy's sets of node ports, each with its protocol: `t`, `u` or `s`.
    pub node_ports: BTreeSet<(char, u16)>,
}

/// A protocol, as in ipvsadm's options: `t`, `u` or `s`, and the address and port that clients dial.
type Server = (char, SocketAddr);

/// kube-proxy's virtual servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Servers {
    own: BTreeSet<Server>,
    /// The number of connections through these servers.
    pub connections: usize,
}

impl Servers {
    /// Reads the existing ones. ipvsadm(8) is only needed if IPVS has virtual servers.
    pub(super) fn read(own: &Own) -> Result<Self, KubeProxyError> {
        if !fs::read_to_string(SERVERS).unwrap_or_default().lines().any(is_server) {
            return Ok(Self::default());
        }
        let text = IPVSADM.output(&["--save", "-n"], "virtual servers of IPVS")?;
        let own = own_servers(&text, own);
        let connections = open_connections(&fs::read_to_string(CONNECTIONS).unwrap_or_default(), &own);
        Ok(Self { own, connections })
    }

    pub(super) fn len(&self) -> usize {
        self.own.len()
    }

    /// Deletes kube-proxy's virtual servers.
    pub(super) fn remove(&self) -> Result<(), KubeProxyError> {
        IPVSADM.feed(&["--restore"], &self.restore_text(), "virtual servers of IPVS")
    }

    fn restore_text(&self) -> String {
        let line = |(protocol, at): &Server| match protocol {
            's' => format!("-D --sctp-service {at}\n"),
            letter => format!("-D -{letter} {at}\n"),
        };
        self.own.iter().map(line).collect::<Vec<_>>().concat()
    }
}

/// True if a set tells which virtual servers are kube-proxy's.
pub(super) fn is_of_node_ports(set: &str) -> bool {
    NODE_PORTS.iter().any(|known| set == *known || set == of_ipv6(known))
}

/// Returns the node ports in kube-proxy's sets. `ports` reads the ports of a set.
pub(super) fn node_ports(
    sets: &[String],
    mut ports: impl FnMut(&str) -> io::Result<Vec<u16>>,
) -> io::Result<BTreeSet<(char, u16)>> {
    let mut found = BTreeSet::new();
    for set in NODE_PORTS {
        let letter = if set.contains("TCP") {
            't'
        } else if set.contains("UDP") {
            'u'
        } else {
            's'
        };
        for name in [set.to_owned(), of_ipv6(set)].iter().filter(|name| sets.contains(name)) {
            found.extend(ports(name)?.into_iter().map(|port| (letter, port)));
        }
    }
    Ok(found)
}

/// True if a line of the kernel's list is a virtual server with an address, not one with a firewall mark.
fn is_server(line: &str) -> bool {
    ["TCP ", "UDP ", "SCTP "].iter().any(|protocol| line.starts_with(protocol))
}

fn own_servers(text: &str, own: &Own) -> BTreeSet<Server> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        let (Some("-A"), Some(option), Some(at)) = (words.next(), words.next(), words.next()) else { return None };
        let at: SocketAddr = at.parse().ok()?;
        // The option is `-t`, `-u` or `--sctp-service`.
        let protocol = option.trim_start_matches('-').chars().next()?;
        let is_own = own.addresses.contains(&at.ip()) || own.node_ports.contains(&(protocol, at.port()));
        is_own.then_some((protocol, at))
    };
    text.lines().filter_map(server).collect()
}

/// Counts the connections through `own` servers: established ones of TCP, and all of UDP and SCTP.
fn open_connections(text: &str, own: &BTreeSet<Server>) -> usize {
    let is_open = |line: &&str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        // Client port 0 is a persistence template (session affinity), not a connection.
        [_, _, "0000", ..] => false,
        [protocol, _, _, address, port, _, _, state, ..] => {
            server(protocol, address, port).is_some_and(|server| own.contains(&server))
                && (protocol != "TCP" || state == "ESTABLISHED")
        }
        _ => false,
    };
    text.lines().filter(is_open).count()
}

/// Reads a virtual server in the kernel's list of connections. An IPv4 address is 8 hexadecimal digits there.
fn server(protocol: &str, address: &str, port: &str) -> Option<Server> {
    let protocol = match protocol {
        "TCP" => 't',
        "UDP" => 'u',
        "SCTP" => 's',
        _ => return None,
    };
    let of_ipv4 = |digits| u32::from_str_radix(digits, 16).ok().map(|number| Ipv4Addr::from(number).into());
    let address: IpAddr = if address.contains(':') { address.parse().ok() } else { of_ipv4(address) }?;
    Some((protocol, SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAVED: &str = "\
-A -t 10.96.0.1:443 -s rr
-a -t 10.96.0.1:443 -r 192.0.2.10:6443 -m -w 1
-A -u 10.96.0.10:53 -s rr
-A -t 192.0.2.1:30080 -s rr -p 10800
-A -t [fd00:10:96::1]:443 -s rr
-A --sctp-service 192.0.2.1:30090 -s rr
-A -t 192.0.2.200:80 -s wrr
-A -u 192.0.2.1:30080 -s wlc
-A -f 7 -s rr
";

    fn own() -> Own {
        Own {
            addresses: ["10.96.0.1", "10.96.0.10", "fd00:10:96::1"].map(|ip| ip.parse().unwrap()).into(),
            node_ports: [('t', 30080), ('s', 30090)].into(),
        }
    }

    #[test]
    fn servers_at_addresses_of_services_and_node_ports_go_and_others_stay() {
        let servers = Servers { own: own_servers(SAVED, &own()), connections: 0 };
        let expected = "-D --sctp-service 192.0.2.1:30090\n-D -t 10.96.0.1:443\n-D -t 192.0.2.1:30080\n\
                        -D -t [fd00:10:96::1]:443\n-D -u 10.96.0.10:53\n";
        assert_eq!(servers.restore_text(), expected);
        assert!(own_servers(SAVED, &Own::default()).is_empty());
    }

    /// Lines as `ip_vs_conn_seq_show` in net/netfilter/ipvs/ip_vs_conn.c writes them.
    #[test]
    fn only_open_connections_through_kube_proxys_servers_count() {
        let text = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n\
                    TCP 0AF40105 9C40 0A600001 01BB  C000020A 192B ESTABLISHED     899\n\
                    TCP 0AF40105 9C41 0A600001 01BB  C000020A 192B TIME_WAIT       100\n\
                    UDP 0AF40105 9C42 0A60000A 0035  0AF40107 0035 UDP             290\n\
                    UDP 0AF40105 0000 0A60000A 0035  0AF40107 0035 NONE          10790\n\
                    TCP C0000263 9C40 C00002C8 0050  C00002C9 0050 ESTABLISHED     899\n\
                    SCTP C0000263 9C40 C0000201 758A  0AF40107 758A ESTABLISHED     899\n\
                    TCP fd00:0010:0244:0000:0000:0000:0000:0005 9C40 fd00:0010:0096:0000:0000:0000:0000:0001 01BB \
                    fd00:0000:0000:0000:0000:0000:0000:0002 192B ESTABLISHED     899 sip 7\n";
        assert_eq!(open_connections(text, &own_servers(SAVED, &own())), 4);
        assert_eq!(open_connections(text, &BTreeSet::new()) + open_connections("", &own_servers(SAVED, &own())), 0);
    }

    #[test]
    fn node_ports_come_from_sets_that_exist() {
        let sets = ["KUBE-NODE-PORT-TCP", "KUBE-6-NODE-PORT-UDP", "KUBE-CLUSTER-IP"].map(str::to_owned);
        let ports = |set: &str| Ok(if set == "KUBE-NODE-PORT-TCP" { vec![30080] } else { vec![30053] });
        assert_eq!(node_ports(&sets, ports).unwrap(), BTreeSet::from([('t', 30080), ('u', 30053)]));
    }

    #[test]
    fn headings_of_the_kernels_list_are_no_servers() {
        let list = "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n\
                    \x20 -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n";
        assert!(!list.lines().any(is_server));
        assert!(is_server("TCP  0A600001:01BB rr "));
    }
}
