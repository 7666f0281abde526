//! What of the host's settings keeps packets from outside from reaching backends: each is said once, with the remedy, when the
//! agent starts and when it comes to be so. Backends on this node get their packets through the stack, which forwards them.

mod chains;
mod ip_tables;
mod remedy;
mod reverse_path;
mod switches;

use std::collections::BTreeSet;

use ipnet::IpNet;
use tracing::warn;

use self::{chains::Chains, ip_tables::IpTables, reverse_path::ReversePath};
use crate::objects::LocalAddresses;

/// Looks after them.
#[derive(Debug, Default)]
pub struct Forwarding {
    chains: Chains,
    ip_tables: IpTables,
    reverse_path: ReversePath,
    told: BTreeSet<String>,
}

impl Forwarding {
    /// Says what is new. `is_backend_in`: whether a backend on this node lies in a prefix.
    pub(crate) fn look(&mut self, local: &LocalAddresses, is_backend_in: impl Fn(IpNet) -> bool) {
        let chains = self.chains.faults().into_iter().chain(self.ip_tables.faults());
        let faults: BTreeSet<String> = switches::faults().into_iter().chain(chains).collect();
        for fault in faults.difference(&self.told) {
            warn!("{fault}");
        }
        self.told = faults;
        self.reverse_path.look(local, is_backend_in);
    }
}
