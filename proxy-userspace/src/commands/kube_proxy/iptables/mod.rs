//! kube-proxy's chains in iptables, of both families and both backends: the kernel's own tables (`iptables-legacy`) and
//! nftables tables (`iptables-nft`). Which chains exist is read from the kernel; the programs are needed only where
//! kube-proxy has chains. Each table is changed in one transaction.

mod plan;
mod save;

use std::collections::BTreeSet;

pub(super) use self::plan::TablePlan;
use super::{KubeProxyError, names::is_chain, nftables::Chain, program::Program};
use crate::{desired::Family, node::forwarding::ip_tables::user_chains};

/// A backend of iptables for one family.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backend {
    /// The name in reports.
    pub name: &'static str,
    pub family: Family,
    is_nft: bool,
    save: Program,
    restore: Program,
}

const fn backend(family: Family, is_nft: bool, [name, save, restore]: [&'static str; 3]) -> Backend {
    Backend {
        name,
        family,
        is_nft,
        save: Program { name: save, package: "iptables" },
        restore: Program { name: restore, package: "iptables" },
    }
}

const BACKENDS: [Backend; 4] = [
    backend(Family::Ipv4, true, ["iptables-nft", "iptables-nft-save", "iptables-nft-restore"]),
    backend(Family::Ipv6, true, ["ip6tables-nft", "ip6tables-nft-save", "ip6tables-nft-restore"]),
    backend(Family::Ipv4, false, ["iptables-legacy", "iptables-legacy-save", "iptables-legacy-restore"]),
    backend(Family::Ipv6, false, ["ip6tables-legacy", "ip6tables-legacy-save", "ip6tables-legacy-restore"]),
];

/// Returns a plan for each table that has chains of kube-proxy.
pub(super) fn plans(chains: &[Chain]) -> Result<Vec<(Backend, TablePlan)>, KubeProxyError> {
    let mut plans = Vec::new();
    for backend in BACKENDS {
        let present = backend.present(chains)?;
        if !present.is_empty() {
            plans.extend(backend.plans(&present)?.into_iter().map(|plan| (backend, plan)));
        }
    }
    Ok(plans)
}

impl Backend {
    /// Returns kube-proxy's chains that the kernel lists, as pairs of table and chain.
    fn present(&self, chains: &[Chain]) -> Result<BTreeSet<(String, String)>, KubeProxyError> {
        let mut present: BTreeSet<(String, String)> = BTreeSet::new();
        if self.is_nft {
            let own = chains.iter().filter(|chain| chain.family == self.family);
            present.extend(own.map(|chain| (chain.table.clone(), chain.name.clone())));
        } else {
            let found = user_chains(self.family == Family::Ipv6, |table, chain| {
                present.insert((table.to_owned(), chain));
            });
            found.map_err(|source| KubeProxyError::Read { what: self.name, source })?;
        }
        present.retain(|(table, chain)| is_chain(table, chain));
        Ok(present)
    }

    fn plans(&self, present: &BTreeSet<(String, String)>) -> Result<Vec<TablePlan>, KubeProxyError> {
        let text = self.save.output(&[], &format!("kube-proxy's rules of {}", self.name))?;
        let plans: Vec<_> = save::tables(&text).iter().map(TablePlan::new).collect();
        let knows = |(table, chain): &&(String, String)| {
            let mut plans = plans.iter().filter(|plan| plan.table == *table);
            plans.any(|plan| plan.chains.contains(chain) || plan.kept.contains(chain))
        };
        // iptables-nft-save leaves out tables with rules that it does not understand.
        match present.iter().find(|chain| !knows(chain)) {
            Some((table, _)) => {
                Err(KubeProxyError::Unreadable { table: table.clone(), family: self.family, program: self.save.name })
            }
            None => Ok(plans),
        }
    }

    /// Carries out a plan for a table.
    pub(super) fn remove(&self, plan: &TablePlan) -> Result<(), KubeProxyError> {
        let what = format!("kube-proxy's chains of the table {} of {}", plan.table, self.name);
        self.restore.feed(&["--noflush", "--wait=10"], &plan.restore_text(), &what)
    }
}
