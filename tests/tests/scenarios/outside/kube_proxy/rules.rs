//! Rules laid out as kube-proxy's, and beside them the kubelet's and a stranger's, by each way that a node may have them. The
//! node port leads to the pod on this node, the externalIP to the pod on the other node, masqueraded.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use harness::{
    lab::Netns,
    scene::{Family, NODE_PORT, Outside},
};

use super::virtual_servers;

/// Where the rules are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// nftables tables named kube-proxy, as in the mode nftables.
    Nftables,
    /// By the programs iptables-NAME and ip6tables-NAME.
    Iptables(&'static str),
    /// By iptables-nft, beside virtual servers of IPVS.
    Ipvs,
}

/// The kubelet's chains and a stranger's rules. None of IPv6 needs connection tracking.
const OTHERS: &str = r#"*mangle
:KUBE-IPTABLES-HINT - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
-A PREROUTING -p icmp -m comment --comment "ours -j KUBE-SERVICES" -j ACCEPT
COMMIT
*nat
:KUBE-KUBELET-CANARY - [0:0]
:STRANGER - [0:0]
-A PREROUTING -m comment --comment "before \"kubernetes\"" -j STRANGER
-A OUTPUT -p tcp -m tcp --dport 7 -j STRANGER
-A STRANGER -p tcp -m tcp --dport 9 -j RETURN
COMMIT
*filter
:KUBE-FIREWALL - [0:0]
:KUBE-POD-FW-57XVOCFNTLTR3Q27 - [0:0]
-A INPUT -j KUBE-FIREWALL
-A FORWARD -j KUBE-POD-FW-57XVOCFNTLTR3Q27
-A OUTPUT -j KUBE-FIREWALL
-A KUBE-POD-FW-57XVOCFNTLTR3Q27 -m mark --mark 0x77 -j DROP
COMMIT
"#;

/// The rules that kube-proxy makes without any Service, except the end of the table nat.
const SHARED: &str = r#"*mangle
:KUBE-PROXY-CANARY - [0:0]
COMMIT
*filter
:KUBE-EXTERNAL-SERVICES - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-PROXY-CANARY - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-SERVICES - [0:0]
-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
*nat
:KUBE-MARK-MASQ - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-PROXY-CANARY - [0:0]
:KUBE-SERVICES - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
"#;

impl Place {
    /// Installs the rules that are not kube-proxy's.
    pub fn install_others(self, netns: &Netns) {
        let Some(variant) = self.variant() else { return };
        for program in ["iptables", "ip6tables"] {
            let others = if program == "ip6tables" { OTHERS.replace("icmp", "ipv6-icmp") } else { OTHERS.into() };
            feed(netns, &[&format!("{program}-{variant}-restore"), "--noflush"], &others);
        }
        if self == Self::Ipvs {
            virtual_servers::install_others(netns);
        }
    }

    /// The iptables programs, `None` for nftables.
    const fn variant(self) -> Option<&'static str> {
        match self {
            Self::Nftables => None,
            Self::Iptables(variant) => Some(variant),
            Self::Ipvs => Some("nft"),
        }
    }

    /// Installs kube-proxy's rules.
    pub fn install(self, outside: &Outside) {
        let netns = outside.scene.node.netns();
        match self {
            Self::Nftables => {
                for family in Family::BOTH {
                    netns.load_rules(&nftables(outside, family)).unwrap();
                }
            }
            Self::Iptables(variant) => {
                for family in Family::BOTH {
                    let program = if family.number() == 4 { "iptables" } else { "ip6tables" };
                    feed(netns, &[&format!("{program}-{variant}-restore"), "--noflush"], &iptables(outside, family));
                }
            }
            Self::Ipvs => virtual_servers::install(outside),
        }
    }

    /// All rules as they are written, without counters and dates, and what IPVS has besides.
    pub fn listing(self, netns: &Netns) -> String {
        let programs = match self.variant() {
            None => vec!["nft -s list ruleset".to_owned()],
            Some(variant) => ["iptables", "ip6tables"].map(|program| format!("{program}-{variant}-save")).to_vec(),
        };
        let text: String = programs.iter().map(|program| harness::scene::output(netns, program)).collect();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let rules: String = lines.map(|line| line.split(" [").next().unwrap_or_default().to_owned() + "\n").collect();
        if self == Self::Ipvs { rules + &virtual_servers::listing(netns) } else { rules }
    }
}

/// Runs a program that reads `text`.
pub fn feed(netns: &Netns, command: &[&str], text: &str) {
    let run = || {
        let mut child = Command::new(command[0]).args(&command[1..]).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        child.wait().unwrap()
    };
    assert!(netns.inside(run).unwrap().success(), "{command:?} with {text}");
}

/// Address of the node, of the external frontend, and of both backends with the port, as a translation names them.
fn places(outside: &Outside, family: Family) -> [String; 4] {
    let backend = |pod| std::net::SocketAddr::new(family.of(pod), 8080).to_string();
    let near = backend(outside.scene.pod(1));
    [family.of(&outside.scene.node).to_string(), family.external_ip(1).to_string(), near, backend(&outside.remote)]
}

fn iptables(outside: &Outside, family: Family) -> String {
    let [node, external, near, far] = places(outside, family);
    let translate = |protocol: &str, sep: &str, to: &str| {
        format!("-A KUBE-SEP-{sep} -p {protocol} -m {protocol} -j DNAT --to-destination {to}\n")
    };
    let (web, far_web) = ("57XVOCFNTLTR3Q27", "TCOU7JCQXEZGVUNU");
    let both = |rule: &dyn Fn(&str) -> String| ["tcp", "udp"].map(rule).concat();
    let near_rules = both(&|protocol| translate(protocol, web, &near));
    let far_rules = both(&|protocol| translate(protocol, far_web, &far));
    let ports = both(&|p| format!("-A KUBE-NODEPORTS -p {p} -m {p} --dport {NODE_PORT} -j KUBE-EXT-{web}\n"));
    let externals = both(&|p| {
        format!(
            "-A KUBE-SERVICES -d {external} -p {p} -m comment --comment \"default/web external IP\" -m {p} --dport 80 \
             -j KUBE-EXT-{far_web}\n"
        )
    });
    let services = format!(
        r#":KUBE-EXT-{web} - [0:0]
:KUBE-EXT-{far_web} - [0:0]
:KUBE-SEP-{web} - [0:0]
:KUBE-SEP-{far_web} - [0:0]
:KUBE-SVC-{web} - [0:0]
:KUBE-SVC-{far_web} - [0:0]
{ports}-A KUBE-EXT-{web} -j KUBE-SVC-{web}
-A KUBE-EXT-{far_web} -j KUBE-MARK-MASQ
-A KUBE-EXT-{far_web} -j KUBE-SVC-{far_web}
{near_rules}{far_rules}{externals}-A KUBE-SERVICES -d {node} -m comment --comment "kubernetes service nodeports" -j KUBE-NODEPORTS
-A KUBE-SVC-{web} -m comment --comment "default/web -> {near}" -j KUBE-SEP-{web}
-A KUBE-SVC-{far_web} -j KUBE-SEP-{far_web}
COMMIT
"#
    );
    format!("{SHARED}{services}")
}

fn nftables(outside: &Outside, family: Family) -> String {
    let [node, external, near, far] = places(outside, family);
    let (ip, kind) = if family.number() == 4 { ("ip", "ipv4_addr") } else { ("ip6", "ipv6_addr") };
    format!(
        "table {ip} kube-proxy {{
           map service-ips {{ type {kind} . inet_proto . inet_service : verdict; }}
           map service-nodeports {{ type inet_proto . inet_service : verdict; }}
           set nodeport-ips {{ type {kind}; elements = {{ {node} }} }}
           chain mark-for-masquerade {{ meta mark set meta mark or 0x4000; }}
           chain masquerading {{ meta mark and 0x4000 == 0 return; meta mark set meta mark xor 0x4000; masquerade fully-random; }}
           chain near {{ meta l4proto {{ tcp, udp }} dnat to {near}; }}
           chain far {{ jump mark-for-masquerade; meta l4proto {{ tcp, udp }} dnat to {far}; }}
           chain services {{
             {ip} daddr . meta l4proto . th dport vmap @service-ips
             {ip} daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
           }}
           chain nat-prerouting {{ type nat hook prerouting priority dstnat; jump services; }}
           chain nat-output {{ type nat hook output priority -100; jump services; }}
           chain nat-postrouting {{ type nat hook postrouting priority srcnat; jump masquerading; }}
         }}
         add element {ip} kube-proxy service-ips {{ {external} . tcp . 80 : goto far, {external} . udp . 80 : goto far }}
         add element {ip} kube-proxy service-nodeports {{ tcp . {NODE_PORT} : goto near, udp . {NODE_PORT} : goto near }}
        "
    )
}
