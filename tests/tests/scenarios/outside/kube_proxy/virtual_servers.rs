//! What kube-proxy in IPVS mode leaves: virtual servers, the device with their addresses, sets, and the rules that masquerade by
//! these sets. The ClusterIP and the externalIP lead to the pod on the other node, the node port to the pod on this node.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
};

use harness::{
    lab::Netns,
    scene::{Family, NODE_PORT, Outside, ip, output},
};

use super::rules::feed;

/// What others have on the node: a virtual server, a set and a dummy device.
const OTHER_SERVER: &str = "-A -t 192.0.2.200:80 -s rr\n-a -t 192.0.2.200:80 -r 192.0.2.201:80 -m -w 1\n";
const OTHER_SET: &str = "create OTHERS hash:ip\nadd OTHERS 192.0.2.200\n";

/// kube-proxy's device.
const DEVICE: &str = "kube-ipvs0";

/// The rules of both tables. `KUBE-` in the name of a set is `PREFIX-`, and `PODS` the range of pods.
const RULES: &str = r#"*filter
:KUBE-FORWARD - [0:0]
:KUBE-IPVS-FILTER - [0:0]
:KUBE-IPVS-OUT-FILTER - [0:0]
:KUBE-NODE-PORT - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-SOURCE-RANGES-FIREWALL - [0:0]
-A INPUT -m comment --comment "kubernetes ipvs access filter" -j KUBE-IPVS-FILTER
-A INPUT -m comment --comment "kube-proxy firewall rules" -j KUBE-PROXY-FIREWALL
-A INPUT -m comment --comment "kubernetes health check rules" -j KUBE-NODE-PORT
-A FORWARD -m comment --comment "kube-proxy firewall rules" -j KUBE-PROXY-FIREWALL
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A OUTPUT -m comment --comment "kubernetes ipvs access filter" -j KUBE-IPVS-OUT-FILTER
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A KUBE-IPVS-FILTER -m set --match-set PREFIX-CLUSTER-IP dst,dst -j RETURN
-A KUBE-IPVS-FILTER -m set --match-set PREFIX-EXTERNAL-IP dst,dst -j RETURN
-A KUBE-IPVS-FILTER -m conntrack --ctstate NEW -m set --match-set PREFIX-IPVS-IPS dst -j REJECT
-A KUBE-SOURCE-RANGES-FIREWALL -j DROP
COMMIT
*nat
:KUBE-LOAD-BALANCER - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-NODE-PORT - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-SERVICES - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-NODE-PORT -p tcp -m set --match-set PREFIX-NODE-PORT-TCP dst -j KUBE-MARK-MASQ
-A KUBE-NODE-PORT -p udp -m set --match-set PREFIX-NODE-PORT-UDP dst -j KUBE-MARK-MASQ
-A KUBE-POSTROUTING -m set --match-set PREFIX-LOOP-BACK dst,dst,src -j MASQUERADE
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
-A KUBE-SERVICES ! -s PODS -m set --match-set PREFIX-CLUSTER-IP dst,dst -j KUBE-MARK-MASQ
-A KUBE-SERVICES -m set --match-set PREFIX-EXTERNAL-IP dst,dst -j KUBE-MARK-MASQ
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT
-A KUBE-SERVICES -m set --match-set PREFIX-CLUSTER-IP dst,dst -j ACCEPT
COMMIT
"#;

/// Whether the kernel has IPVS. Says so if it has not.
pub fn has_ipvs() -> bool {
    let has_ipvs = fs::exists("/proc/net/ip_vs").unwrap();
    if !has_ipvs {
        println!("not tested: this kernel has no IPVS (`cargo xtask vm` boots kernels that have)");
    }
    has_ipvs
}

/// Installs what is not kube-proxy's.
pub fn install_others(netns: &Netns) {
    feed(netns, &["ipvsadm", "--restore"], OTHER_SERVER);
    feed(netns, &["ipset", "restore"], OTHER_SET);
    ip(netns, &["link add others0 type dummy"]);
}

/// Installs what is kube-proxy's.
pub fn install(outside: &Outside) {
    let netns = outside.scene.node.netns();
    // With it, netfilter masquerades what IPVS sends.
    netns.inside(|| fs::write("/proc/sys/net/ipv4/vs/conntrack", "1")).unwrap().unwrap();
    ip(netns, &[&format!("link add {DEVICE} type dummy")]);
    for family in Family::BOTH {
        feed(netns, &["ipset", "restore"], &sets(outside, family));
        let (program, prefix, pods) = match family {
            Family::Ipv4 => ("iptables-nft-restore", "KUBE", "10.244.0.0/16"),
            Family::Ipv6 => ("ip6tables-nft-restore", "KUBE-6", "fd00:10:244::/48"),
        };
        feed(netns, &[program, "--noflush"], &RULES.replace("PREFIX", prefix).replace("PODS", pods));
        let addresses = held(family).map(|address| format!("address add {address} dev {DEVICE}"));
        ip(netns, &addresses.each_ref().map(String::as_str));
        feed(netns, &["ipvsadm", "--restore"], &servers(outside, family));
    }
}

/// All that is in the kernel besides rules, whoever has made it.
pub fn listing(netns: &Netns) -> String {
    let mut text = ["ipvsadm --save -n", "ipset list -n"].map(|command| output(netns, command)).concat();
    let devices = output(netns, "ip -o link show type dummy");
    text.extend(devices.lines().filter_map(|line| line.split(": ").nth(1)).flat_map(|name| [name, "\n"]));
    text
}

/// Makes IPVS forget every connection of UDP a second after its next datagram.
pub fn forget_datagrams(netns: &Netns) {
    output(netns, "ipvsadm --set 0 0 1");
}

/// The addresses on the device.
fn held(family: Family) -> [IpAddr; 2] {
    [family.cluster_ip(1), family.external_ip(1)]
}

fn servers(outside: &Outside, family: Family) -> String {
    let [cluster_ip, node_port, external, _] = outside.frontends(family);
    let backend = |pod| SocketAddr::new(family.of(pod), 8080);
    let (near, far) = (backend(outside.scene.pod(1)), backend(&outside.remote));
    let both = |(at, to): (SocketAddr, SocketAddr)| {
        ["-t", "-u"].map(|protocol| format!("-A {protocol} {at} -s rr\n-a {protocol} {at} -r {to} -m -w 1\n")).concat()
    };
    [(cluster_ip, far), (node_port, near), (external, far)].map(both).concat()
}

fn sets(outside: &Outside, family: Family) -> String {
    let (prefix, inet) = if family == Family::Ipv4 { ("KUBE", "inet") } else { ("KUBE-6", "inet6") };
    let [cluster_ip, external] = held(family);
    let near = family.of(outside.scene.pod(1));
    let sets = format!(
        "create {prefix}-CLUSTER-IP hash:ip,port family {inet}\n\
         create {prefix}-EXTERNAL-IP hash:ip,port family {inet}\n\
         create {prefix}-IPVS-IPS hash:ip family {inet}\n\
         create {prefix}-LOOP-BACK hash:ip,port,ip family {inet}\n\
         create {prefix}-HEALTH-CHECK-NODE-PORT bitmap:port range 0-65535\n\
         create {prefix}-NODE-PORT-TCP bitmap:port range 0-65535\n\
         create {prefix}-NODE-PORT-UDP bitmap:port range 0-65535\n\
         add {prefix}-NODE-PORT-TCP {NODE_PORT}\n\
         add {prefix}-NODE-PORT-UDP {NODE_PORT}\n\
         add {prefix}-IPVS-IPS {cluster_ip}\n\
         add {prefix}-IPVS-IPS {external}\n"
    );
    let members = ["tcp", "udp"].map(|protocol| {
        format!(
            "add {prefix}-CLUSTER-IP {cluster_ip},{protocol}:80\nadd {prefix}-EXTERNAL-IP {external},{protocol}:80\n\
             add {prefix}-LOOP-BACK {near},{protocol}:8080,{near}\n"
        )
    });
    sets + &members.concat()
}
