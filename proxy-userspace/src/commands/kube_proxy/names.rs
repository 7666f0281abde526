//! The names of the objects that kube-proxy leaves on a node, in all its modes and since Kubernetes 1.20
//! (pkg/proxy/{iptables,ipvs,nftables}). Other programs use the prefix KUBE-, too: the kubelet (KUBE-FIREWALL,
//! KUBE-KUBELET-CANARY, KUBE-IPTABLES-HINT, KUBE-MARK-DROP) and kube-router (KUBE-POD-FW-…, sets KUBE-SRC-…). So all names are
//! listed, and a prefix counts only before a hash in kube-proxy's format. Pure.

/// The name of kube-proxy's nftables table in each family.
pub(super) const TABLE: &str = "kube-proxy";
/// The device that has the addresses of Services in IPVS mode.
pub(super) const DEVICE: &str = "kube-ipvs0";
/// The chain that marks packets for masquerading, and the chain that masquerades marked packets.
pub(super) const MARK: &str = "KUBE-MARK-MASQ";
pub(super) const MASQUERADE: &str = "KUBE-POSTROUTING";

/// The iptables tables that have kube-proxy's chains.
const TABLES: [&str; 3] = ["nat", "filter", "mangle"];

/// Chains that built-in chains jump to.
const ENTRIES: [&str; 9] = [
    "KUBE-SERVICES",
    "KUBE-EXTERNAL-SERVICES",
    "KUBE-NODEPORTS",
    "KUBE-NODE-PORT",
    "KUBE-FORWARD",
    "KUBE-PROXY-FIREWALL",
    "KUBE-IPVS-FILTER",
    "KUBE-IPVS-OUT-FILTER",
    MASQUERADE,
];

/// Chains that only kube-proxy's own chains jump to, or no chain.
const INNER: [&str; 5] =
    [MARK, "KUBE-LOAD-BALANCER", "KUBE-SOURCE-RANGES-FIREWALL", "KUBE-FIRE-WALL", "KUBE-PROXY-CANARY"];

/// Prefixes of chains of a Service or an endpoint, and the length of the hash that follows: 80 bits in base 32.
const PREFIXES: [&str; 6] = ["KUBE-SVC-", "KUBE-SVL-", "KUBE-SEP-", "KUBE-EXT-", "KUBE-FW-", "KUBE-XLB-"];
const HASH: usize = 16;

/// Sets of node ports. The members of those for SCTP have addresses, too.
pub(super) const NODE_PORTS: [&str; 6] = [
    "KUBE-NODE-PORT-TCP",
    "KUBE-NODE-PORT-LOCAL-TCP",
    "KUBE-NODE-PORT-UDP",
    "KUBE-NODE-PORT-LOCAL-UDP",
    "KUBE-NODE-PORT-SCTP-HASH",
    "KUBE-NODE-PORT-LOCAL-SCTP-HASH",
];

/// The other sets.
const SETS: [&str; 11] = [
    "KUBE-CLUSTER-IP",
    "KUBE-LOOP-BACK",
    "KUBE-EXTERNAL-IP",
    "KUBE-EXTERNAL-IP-LOCAL",
    "KUBE-LOAD-BALANCER",
    "KUBE-LOAD-BALANCER-LOCAL",
    "KUBE-LOAD-BALANCER-FW",
    "KUBE-LOAD-BALANCER-SOURCE-IP",
    "KUBE-LOAD-BALANCER-SOURCE-CIDR",
    "KUBE-HEALTH-CHECK-NODE-PORT",
    "KUBE-IPVS-IPS",
];

/// Counters of nfacct, which some rules of iptables mode count into.
pub(super) const COUNTERS: [&str; 2] = ["ct_state_invalid_dropped_pkts", "localhost_nps_accepted_pkts"];

/// The longest name of a set, in bytes. kube-proxy truncates longer names for IPv6.
const LONGEST_SET: usize = 31;

/// True if a chain of this iptables table is kube-proxy's.
pub(super) fn is_chain(table: &str, chain: &str) -> bool {
    let of_service = |prefix: &&str| chain.strip_prefix(*prefix).is_some_and(is_hash);
    TABLES.contains(&table) && (is_entry(chain) || INNER.contains(&chain) || PREFIXES.iter().any(of_service))
}

/// True if built-in chains jump to this chain of kube-proxy.
pub(super) fn is_entry(chain: &str) -> bool {
    ENTRIES.contains(&chain)
}

/// True if an ipset is kube-proxy's.
pub(super) fn is_set(name: &str) -> bool {
    NODE_PORTS.iter().chain(&SETS).any(|set| name == *set || name == of_ipv6(set))
}

/// Returns the name of the IPv6 set for an IPv4 set.
pub(super) fn of_ipv6(set: &str) -> String {
    set.replacen("KUBE-", "KUBE-6-", 1).chars().take(LONGEST_SET).collect()
}

fn is_hash(text: &str) -> bool {
    text.len() == HASH && text.bytes().all(|byte| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_of_kube_proxy_are_known_by_name_or_hash() {
        for chain in ["KUBE-SERVICES", "KUBE-PROXY-CANARY", "KUBE-SVC-TCOU7JCQXEZGVUNU", "KUBE-FW-57XVOCFNTLTR3Q27"] {
            assert!(is_chain("nat", chain), "{chain}");
        }
        assert!(is_chain("filter", "KUBE-FORWARD") && is_chain("mangle", "KUBE-PROXY-CANARY"));
        assert!(!is_chain("raw", "KUBE-SERVICES"));
    }

    #[test]
    fn chains_of_the_kubelet_and_of_kube_router_are_not_kube_proxys() {
        for chain in [
            "KUBE-FIREWALL",
            "KUBE-KUBELET-CANARY",
            "KUBE-IPTABLES-HINT",
            "KUBE-MARK-DROP",
            "KUBE-ROUTER-INPUT",
            "KUBE-POD-FW-57XVOCFNTLTR3Q27",
            "KUBE-NWPLCY-57XVOCFNTLTR3Q27",
            "KUBE-SVC-",
            "KUBE-SVC-mine",
            "PREROUTING",
        ] {
            assert!(["nat", "filter", "mangle"].iter().all(|table| !is_chain(table, chain)), "{chain}");
        }
    }

    #[test]
    fn sets_of_both_families_are_known_and_others_are_not() {
        for set in ["KUBE-CLUSTER-IP", "KUBE-6-CLUSTER-IP", "KUBE-NODE-PORT-TCP", "KUBE-6-LOAD-BALANCER-SOURCE-CID"] {
            assert!(is_set(set), "{set}");
        }
        for set in ["KUBE-SRC-57XVOCFNTLTR3Q27", "KUBE-DST-2PUVDYAPSLUYFQKP", "kube-router-svip", "KUBE-6-CLUSTER"] {
            assert!(!is_set(set), "{set}");
        }
    }
}
