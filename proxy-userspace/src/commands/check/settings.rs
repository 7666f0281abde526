//! Settings of the host that stop packets from outside on their way to backends on this node.

use std::{collections::BTreeSet, fs};

use super::finding::Finding;
use crate::node::forwarding::Fault;

/// The value of rp_filter at which packets from unexpected devices are dropped.
const STRICT: u8 = 1;

/// Returns the findings about forwarding. `can_see_chains` is false if this process may not list the rules of firewalls.
pub(super) fn forwarding(faults: &BTreeSet<Fault>, can_see_chains: bool) -> Vec<Finding> {
    let mut findings: Vec<_> = faults
        .iter()
        .map(|fault| Finding::warning("forwarding", fault.problem.clone(), fault.remedy.clone()))
        .collect();
    if !can_see_chains {
        findings.push(Finding::unseen("forwarding", "the chains of firewalls (this takes CAP_NET_ADMIN)"));
    } else if findings.is_empty() {
        findings.push(Finding::ok("forwarding", "switched on, and no chain refuses forwarded packets by itself"));
    }
    findings
}

/// Returns the finding about the reverse-path check of these devices. `has_source_rules` says whether policy routing looks at
/// sources.
pub(super) fn reverse_path<'a>(devices: impl IntoIterator<Item = &'a str>, has_source_rules: bool) -> Finding {
    let all = rp_filter("all").unwrap_or(0);
    let is_strict = |name: &&str| all.max(rp_filter(name).unwrap_or(0)) == STRICT;
    of_strict(&devices.into_iter().filter(is_strict).collect::<Vec<_>>(), has_source_rules)
}

fn rp_filter(device: &str) -> Option<u8> {
    fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{device}/rp_filter")).ok()?.trim().parse().ok()
}

fn of_strict(strict: &[&str], has_source_rules: bool) -> Finding {
    const SUBJECT: &str = "rp_filter";
    let names = strict.join(", ");
    match (strict.is_empty(), has_source_rules) {
        (true, _) => Finding::ok(SUBJECT, "not strict on the served devices"),
        (false, false) => {
            Finding::ok(SUBJECT, format!("strict on {names}, which affects nothing without rules for sources"))
        }
        (false, true) => Finding::warning(
            SUBJECT,
            format!("strict on {names}, and policy routing looks at sources: clients of some backends may be dropped"),
            "nothing, if the agent may write /proc/sys: it sets rp_filter to 2 where that is needed; else set it yourself",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::check::finding::Level;

    #[test]
    fn each_fault_is_a_line_with_its_remedy() {
        let fault = Fault { problem: "net.ipv4.ip_forward is 0".to_owned(), remedy: "set it".to_owned() };
        let wanted = Finding::warning("forwarding", "net.ipv4.ip_forward is 0", "set it");
        assert_eq!(forwarding(&[fault].into(), true), [wanted]);
        assert_eq!(forwarding(&BTreeSet::new(), true)[0].level, Level::Ok);
        assert!(forwarding(&BTreeSet::new(), false)[0].found.starts_with("not seen"));
    }

    #[test]
    fn a_strict_check_matters_only_with_rules_for_sources() {
        let levels = [(&[][..], true), (&["eth0"], false), (&["eth0"], true)]
            .map(|(strict, has_source_rules)| of_strict(strict, has_source_rules).level);
        assert_eq!(levels, [Level::Ok, Level::Ok, Level::Warning]);
    }
}
