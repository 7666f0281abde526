//! Checks the sysctls that enable forwarding. Only reads them.

use std::fs;

use super::Fault;

/// Returns a fault for each sysctl that is off.
pub(super) fn faults() -> Vec<Fault> {
    let switches = [("net.ipv4.ip_forward", "IPv4"), ("net.ipv6.conf.all.forwarding", "IPv6")];
    let is_off = |name: &str| {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        // It is no fault if the kernel lacks the family.
        fs::read_to_string(path).is_ok_and(|value| value.trim() == "0")
    };
    let off = switches.into_iter().filter(|(name, _)| is_off(name));
    let fault = off.map(|(name, family)| Fault {
        problem: format!(
            "{name} is 0: {family} packets from outside reach only backends in the node's own network namespace, \
             neither pods nor other nodes"
        ),
        remedy: format!("set it with `sysctl -w {name}=1`"),
    });
    fault.collect()
}
