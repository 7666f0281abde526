//! The requests of the demo, and what the examples promise for each. Data only.

use lab::Transport;

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialler {
    /// The pod `shell`.
    Pod,
    /// A process of the node itself.
    Node,
}

/// The promised outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Each of these backends answers about equally often, and no other does.
    Spread(&'static [&'static str]),
    /// One of these backends answers all requests.
    Sticky(&'static [&'static str]),
    /// `connect()` fails with this error at once.
    Refused(&'static str),
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Name of the Service; empty without one.
    pub service: &'static str,
    /// Kind of frontend, in words.
    pub kind: &'static str,
    /// Address and port.
    pub dialled: &'static str,
    /// Where the request comes from.
    pub dialler: Dialler,
    /// Protocol and calls.
    pub transport: Transport,
    /// What the example promises.
    pub expect: Expect,
}

const WEB: Expect = Expect::Spread(&["web-1", "web-2", "web-3"]);
const HERE: Expect = Expect::Spread(&["web-1", "web-2"]);
const DNS: Expect = Expect::Spread(&["dns-1", "dns-2"]);

impl Line {
    /// A line that the pod requests over TCP.
    const fn new(service: &'static str, kind: &'static str, dialled: &'static str, expect: Expect) -> Self {
        Self { service, kind, dialled, dialler: Dialler::Pod, transport: Transport::Tcp, expect }
    }

    const fn by_node(self) -> Self {
        Self { dialler: Dialler::Node, ..self }
    }

    const fn by(self, transport: Transport) -> Self {
        Self { transport, ..self }
    }
}

/// The table, in the order in which requests are made and shown.
pub const LINES: &[Line] = &[
    Line::new("-", "no Service, for scale", "10.244.1.1:8080", Expect::Spread(&["web-1"])),
    Line::new("web", "ClusterIP", "10.96.0.10:80", WEB),
    Line::new("dns", "ClusterIP, TCP", "10.96.0.53:53", DNS),
    Line::new("dns", "… UDP, connected", "10.96.0.53:53", DNS).by(Transport::UdpConnected),
    Line::new("dns", "… UDP, unconnected", "10.96.0.53:53", DNS).by(Transport::UdpUnconnected),
    Line::new("dual", "dual-stack, IPv4", "10.96.0.24:80", HERE),
    Line::new("dual", "… IPv6", "[fd00:10:96::24]:80", Expect::Spread(&["web-1", "web-3"])),
    Line::new("shop", "NodePort", "192.168.50.1:30080", WEB),
    Line::new("shop", "… from the node", "127.0.0.1:30080", WEB).by_node(),
    Line::new("api", "LoadBalancer", "203.0.113.10:443", WEB),
    Line::new("mail", "external IP", "198.51.100.25:25", WEB),
    Line::new("cart", "session affinity", "10.96.0.23:80", Expect::Sticky(&["web-1", "web-2", "web-3"])),
    Line::new("logs", "internal policy Local", "10.96.0.25:80", HERE),
    Line::new("blue", "selector, named port", "10.96.0.26:80", HERE),
    Line::new("empty", "no endpoints", "10.96.0.27:80", Expect::Refused("ECONNREFUSED")),
    Line::new("web", "a port it doesn't serve", "10.96.0.10:81", Expect::Refused("ECONNREFUSED")),
    Line::new("-", "address of no Service", "10.96.0.99:80", Expect::Refused("EHOSTUNREACH")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples::FILES;

    #[test]
    fn lines_ask_services_of_the_examples_at_their_own_addresses() {
        for line in LINES.iter().filter(|line| line.service != "-") {
            let name = format!("metadata: {{name: {}}}", line.service);
            let (_, text) = FILES.iter().find(|(_, text)| text.contains(&name)).expect(line.service);
            let (address, port) = line.dialled.rsplit_once(':').unwrap();
            // The node's addresses are in the file of the Node object.
            let known = |wanted: &str| text.contains(wanted) || line.service == "shop";
            assert!(known(address.trim_matches(['[', ']'])), "{line:?}");
            assert!(text.contains(&format!(": {port}")) || port == "81", "{line:?}");
        }
    }
}
