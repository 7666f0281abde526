//! Plans the removal of everything that kube-proxy left, and carries it out.

use std::collections::BTreeSet;

use super::{
    KubeProxyError, counters, device, ipset,
    iptables::{self, Backend, TablePlan},
    ipvs::{self, Own, Servers},
    names::{DEVICE, TABLE},
    nft_word,
    nftables::{self, KEEPER},
    report::{Action, CleanupReport, count},
};
use crate::{desired::Family, succession::import::count_translated};

/// The table that keeps translated connections of a family alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Keeper {
    family: Family,
    action: Action,
    connections: usize,
}

/// The objects that are removed, and those that are kept.
#[derive(Debug)]
pub(super) struct CleanupPlan {
    tables: Vec<Family>,
    keepers: Vec<Keeper>,
    iptables: Vec<(Backend, TablePlan)>,
    servers: Servers,
    keep_servers: bool,
    device: Option<u32>,
    sets: Vec<String>,
    /// With the reason.
    kept_sets: Vec<(String, &'static str)>,
    counters: Vec<String>,
}

impl CleanupPlan {
    /// Reads what exists and makes the plan. With `force`, virtual servers are removed even if they have connections.
    pub(super) fn read(force: bool) -> Result<Self, KubeProxyError> {
        let failed = |what| move |source| KubeProxyError::Read { what, source };
        let tables = nftables::families_with(TABLE).map_err(failed("the tables of nftables"))?;
        let chains = nftables::chains().map_err(failed("the chains of nftables"))?;
        let iptables = iptables::plans(&chains)?;
        let sets = ipset::sets().map_err(failed("the sets of ipset"))?;
        let node_ports = ipvs::node_ports(&sets, ipset::ports).map_err(failed("the ports in sets of ipset"))?;
        let device = device::find().map_err(failed("the devices"))?;
        let (device, addresses) = device.map_or((None, BTreeSet::new()), |(index, all)| (Some(index), all));
        let servers = Servers::read(&Own { addresses, node_ports })?;
        let keep_servers = servers.len() > 0 && servers.connections > 0 && !force;
        let used: BTreeSet<&String> = iptables.iter().flat_map(|(_, plan)| &plan.sets).collect();
        let (kept_sets, sets) = keep_sets(sets, |set| used.contains(set), keep_servers);
        let mut counters = counters::counters().map_err(failed("the counters of nfacct"))?;
        counters.retain(|counter| !used.contains(counter));
        let translates = |family| {
            let mut goes = iptables.iter().filter(|(backend, plan)| backend.family == family && !plan.is_empty());
            tables.contains(&family) || goes.next().is_some()
        };
        let existing = nftables::families_with(KEEPER).map_err(failed("the tables of nftables"))?;
        let keepers = keepers(translates, &existing, count_translated()?);
        Ok(Self { tables, keepers, iptables, servers, keep_servers, device, sets, kept_sets, counters })
    }

    /// Carries out the plan. Rules are removed before the sets that they use.
    pub(super) fn carry_out(&self) -> Result<(), KubeProxyError> {
        let failed = |what: String| move |source| KubeProxyError::Remove { what, source };
        for Keeper { family, .. } in self.keepers.iter().filter(|keeper| keeper.action == Action::Add) {
            nftables::make_keeper(*family).map_err(|source| KubeProxyError::Keep { family: *family, source })?;
        }
        for family in &self.tables {
            nftables::remove(*family).map_err(failed(format!("the nftables table {} {TABLE}", nft_word(*family))))?;
        }
        for (backend, plan) in self.iptables.iter().filter(|(_, plan)| !plan.is_empty()) {
            backend.remove(plan)?;
        }
        if self.servers.len() > 0 && !self.keep_servers {
            self.servers.remove()?;
        }
        if let Some(index) = self.device_to_remove() {
            device::remove(index).map_err(failed(format!("the device {DEVICE}")))?;
        }
        for set in &self.sets {
            ipset::destroy(set).map_err(failed(format!("the set {set}")))?;
        }
        for counter in &self.counters {
            counters::remove(counter).map_err(failed(format!("the counter {counter}")))?;
        }
        for Keeper { family, .. } in self.keepers.iter().filter(|keeper| keeper.action == Action::Remove) {
            nftables::remove_keeper(*family)
                .map_err(failed(format!("the nftables table {} {KEEPER}", nft_word(*family))))?;
        }
        Ok(())
    }

    /// Returns the device, unless IPVS still serves the addresses on it.
    fn device_to_remove(&self) -> Option<u32> {
        self.device.filter(|_| !self.keep_servers)
    }

    /// Reports what was done, or would be done, with each object.
    pub(super) fn report(&self, is_dry: bool) -> CleanupReport {
        let mut report = CleanupReport::new(is_dry);
        for family in &self.tables {
            report.add(Action::Remove, "nftables", format!("table {} {TABLE}", nft_word(*family)));
        }
        self.report_iptables(&mut report);
        self.report_ipvs(&mut report);
        for set in &self.sets {
            report.add(Action::Remove, "ipset", set.clone());
        }
        for (set, why) in &self.kept_sets {
            report.add(Action::Keep, "ipset", format!("{set}, {why}"));
        }
        for counter in &self.counters {
            report.add(Action::Remove, "nfacct", format!("counter {counter}"));
        }
        for Keeper { family, action, connections } in &self.keepers {
            let why = if *action == Action::Remove {
                String::new()
            } else {
                let connections = count(*connections, "translated connection");
                format!(" for {connections}: run this again when they have ended")
            };
            report.add(*action, "nftables", format!("table {} {KEEPER}{why}", nft_word(*family)));
        }
        report
    }

    fn report_iptables(&self, report: &mut CleanupReport) {
        for (Backend { name, .. }, TablePlan { table, chains, jumps, kept, .. }) in &self.iptables {
            if !chains.is_empty() {
                let (chains, jumps) = (count(chains.len(), "chain"), count(jumps.len(), "jump"));
                report.add(Action::Remove, name, format!("{chains} of the table {table}, {jumps} to them"));
            }
            if !kept.is_empty() {
                let names = kept.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                let what = format!(
                    "{} of the table {table}, used by other programs' rules: {names}",
                    count(kept.len(), "chain")
                );
                report.add(Action::Keep, name, what);
            }
        }
    }

    fn report_ipvs(&self, report: &mut CleanupReport) {
        let servers = count(self.servers.len(), "virtual server");
        if self.keep_servers {
            let connections = count(self.servers.connections, "connection");
            let what = format!(
                "{servers} with {connections}: run this again when they have ended, or use --force to cut them"
            );
            report.add(Action::Keep, "ipvs", what);
        } else if self.servers.len() > 0 {
            report.add(Action::Remove, "ipvs", servers);
        }
        match self.device {
            Some(_) if self.keep_servers => {
                report.add(Action::Keep, "device", format!("{DEVICE}, which has addresses of these virtual servers"));
            }
            Some(_) => report.add(Action::Remove, "device", DEVICE.to_owned()),
            None => {}
        }
    }
}

/// Divides the sets into those that are kept, with the reason, and those that are removed. Without the sets of node ports, the next
/// run would not know virtual servers that stay now.
fn keep_sets(
    sets: Vec<String>,
    is_used: impl Fn(&String) -> bool,
    keep_servers: bool,
) -> (Vec<(String, &'static str)>, Vec<String>) {
    let (mut kept, mut removed) = (Vec::new(), Vec::new());
    for set in sets {
        if is_used(&set) {
            kept.push((set, "which remaining rules use"));
        } else if keep_servers && ipvs::is_of_node_ports(&set) {
            kept.push((set, "by which the next run knows these virtual servers"));
        } else {
            removed.push(set);
        }
    }
    (kept, removed)
}

/// Decides about the tables that keep connections alive. `translates` is true for a family whose rules are removed now;
/// `connections` are the numbers of translated connections of IPv4 and IPv6.
fn keepers(translates: impl Fn(Family) -> bool, existing: &[Family], connections: [usize; 2]) -> Vec<Keeper> {
    let keeper = |(family, connections)| {
        let action = match (existing.contains(&family), connections > 0) {
            (true, true) => Action::Keep,
            (true, false) => Action::Remove,
            (false, true) if translates(family) => Action::Add,
            (false, _) => return None,
        };
        Some(Keeper { family, action, connections })
    };
    Family::BOTH.into_iter().zip(connections).filter_map(keeper).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actions(translates: bool, existing: &[Family], connections: [usize; 2]) -> Vec<(Family, Action)> {
        keepers(|_| translates, existing, connections)
            .into_iter()
            .map(|keeper| (keeper.family, keeper.action))
            .collect()
    }

    #[test]
    fn connections_that_netfilter_translates_are_kept_alive_until_they_have_ended() {
        let both = Family::BOTH;
        assert_eq!(actions(true, &[], [3, 0]), [(Family::Ipv4, Action::Add)]);
        assert_eq!(actions(false, &both, [1, 0]), [(Family::Ipv4, Action::Keep), (Family::Ipv6, Action::Remove)]);
        assert_eq!(actions(true, &both, [0, 7]), [(Family::Ipv4, Action::Remove), (Family::Ipv6, Action::Keep)]);
    }

    #[test]
    fn the_sets_that_tell_kube_proxys_virtual_servers_stay_as_long_as_these() {
        let sets = || ["KUBE-6-NODE-PORT-UDP", "KUBE-CLUSTER-IP", "KUBE-LOOP-BACK"].map(str::to_owned).to_vec();
        let names = |keep_servers| {
            let (kept, removed) = keep_sets(sets(), |set| set == "KUBE-LOOP-BACK", keep_servers);
            (kept.into_iter().map(|(set, _)| set).collect::<Vec<_>>(), removed)
        };
        let [node_ports, cluster_ips, used] = <[String; 3]>::try_from(sets()).unwrap();
        assert_eq!(names(true), (vec![node_ports.clone(), used.clone()], vec![cluster_ips.clone()]));
        assert_eq!(names(false), (vec![used], vec![node_ports, cluster_ips]));
    }

    #[test]
    fn where_nothing_of_kube_proxy_goes_nothing_is_added() {
        assert!(actions(false, &[], [3, 3]).is_empty() && actions(true, &[], [0, 0]).is_empty());
    }
}
