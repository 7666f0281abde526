//! Finds settings of the host that stop packets from outside on their way to backends. Each is logged once with its remedy,
//! at the start or when it appears. They affect backends on this node, whose packets the kernel's stack forwards.

mod chains;
mod fault;
pub(crate) mod ip_tables;
mod remedy;
mod reverse_path;
mod switches;

use std::{collections::BTreeSet, path::PathBuf};

use ipnet::IpNet;
use tracing::warn;

pub(crate) use self::fault::Fault;
use self::{chains::Chains, ip_tables::IpTables, reverse_path::ReversePath};
use crate::objects::LocalAddresses;

/// Watches these settings.
#[derive(Debug)]
pub struct Forwarding {
    chains: Chains,
    ip_tables: IpTables,
    reverse_path: ReversePath,
    logged: BTreeSet<Fault>,
}

impl Forwarding {
    /// `settings` is the folder of the node's `/proc/sys`.
    pub fn new(settings: PathBuf) -> Self {
        let reverse_path = ReversePath::new(settings);
        Self { chains: Chains::default(), ip_tables: IpTables::default(), reverse_path, logged: BTreeSet::new() }
    }

    /// Returns the settings that stop packets now.
    pub(crate) fn faults(&mut self) -> BTreeSet<Fault> {
        let chains = self.chains.faults().into_iter().chain(self.ip_tables.faults());
        switches::faults().into_iter().chain(chains).collect()
    }

    /// Logs new faults. `is_backend_in` tells whether a backend on this node is in a prefix.
    pub(crate) fn check(&mut self, local: &LocalAddresses, is_backend_in: impl Fn(IpNet) -> bool) {
        let faults = self.faults();
        for fault in faults.difference(&self.logged) {
            warn!("{fault}");
        }
        self.logged = faults;
        self.reverse_path.check(local, is_backend_in);
    }
}
