//! Determines which kernel modules the machine loads, and in what order. Pure.

use anyhow::{Context as _, Result};

/// Modules for the devices of labs, for the agent's requests to the kernel, for the packets in the tests, and for what kube-proxy
/// leaves.
pub(super) const MODULES: [&str; 37] = [
    // libcrc32c requests this module by the name of an algorithm, which is not in modules.dep.
    "crc32c_generic",
    "veth",
    "bridge",
    "8021q",
    "bonding",
    "sch_ingress",
    "cls_bpf",
    "tcp_diag",
    "udp_diag",
    "nf_conntrack",
    "nf_conntrack_netlink",
    "nf_tables",
    "nft_ct",
    "sctp",
    "ip6_tunnel",
    "geneve",
    "ipip",
    "sit",
    "wireguard",
    // What kube-proxy needs in IPVS mode: virtual servers, the device with their addresses, sets, and rules of iptables-nft.
    "ip_vs",
    "ip_vs_rr",
    "dummy",
    "ip_set_bitmap_port",
    "ip_set_hash_ip",
    "ip_set_hash_ipport",
    "ip_set_hash_ipportip",
    "nft_compat",
    "nft_chain_nat",
    "xt_MASQUERADE",
    "xt_addrtype",
    "xt_comment",
    "xt_conntrack",
    "xt_mark",
    "xt_set",
    "xt_tcpudp",
    "ipt_REJECT",
    "ip6t_REJECT",
];

/// Returns the files of the modules `names` and of all their dependencies, each after its own dependencies. Paths are as in
/// `dependencies`, the text of a `modules.dep`.
pub(super) fn in_order<'a>(dependencies: &'a str, names: &[&str]) -> Result<Vec<&'a str>> {
    let mut files = Vec::new();
    for name in names {
        let (file, needed) = dependencies
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(file, _)| module_name(file) == *name)
            .with_context(|| format!("find module {name}: this kernel has no such module"))?;
        // modules.dep(5): dependencies are loaded from right to left.
        for file in needed.split_whitespace().rev().chain([file]) {
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    Ok(files)
}

/// Returns the name of a module's file: `kernel/drivers/net/veth.ko.xz` gives `veth`.
fn module_name(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.split_once(".ko").map_or(name, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::in_order;

    const DEPENDENCIES: &str = "\
kernel/net/veth.ko:
kernel/net/a.ko.xz: kernel/net/b.ko.xz kernel/net/c.ko.xz
kernel/net/b.ko.xz: kernel/net/c.ko.xz
kernel/net/c.ko.xz:
";

    #[test]
    fn what_is_needed_comes_first_and_once() {
        let files = in_order(DEPENDENCIES, &["a", "veth", "b"]).unwrap();
        assert_eq!(files, ["kernel/net/c.ko.xz", "kernel/net/b.ko.xz", "kernel/net/a.ko.xz", "kernel/net/veth.ko"]);
    }

    #[test]
    fn an_unknown_module_is_named() {
        let error = in_order(DEPENDENCIES, &["net"]).unwrap_err().to_string();
        assert!(error.contains("module net"), "{error}");
    }
}
