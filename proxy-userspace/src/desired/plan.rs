//! The difference between two tables, in an order of writing that serves traffic correctly at every moment: what an
//! entry refers to is written before the entry, and removed after it. Pure.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;
use proxy_common::Frontend;

use crate::desired::{FrontendEntry, NetworkKind, Owner, PortEntry, PortId, PortKey, ServiceName, ServiceTable, Table};

/// The writes that lead from one table to another. The fields are in the order of writing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Service ports that are new or have changed.
    pub put_ports: Vec<(PortId, PortEntry)>,
    /// Frontends that are new, have changed, or belong to another Service now.
    pub put_frontends: Vec<(Frontend, ServiceName, FrontendEntry)>,
    /// Addresses that a Service newly owns, or owns in another way.
    pub put_owned: Vec<(IpAddr, ServiceName, Owner)>,
    /// Prefixes that are new or have another kind.
    pub put_networks: Vec<(IpNet, NetworkKind)>,
    /// Prefixes that are no longer needed.
    pub remove_networks: Vec<IpNet>,
    /// Addresses that a Service no longer owns; other Services may.
    pub remove_owned: Vec<(IpAddr, ServiceName)>,
    /// Frontends that no Service has any more.
    pub remove_frontends: Vec<Frontend>,
    /// Service ports without a frontend.
    pub remove_ports: Vec<PortId>,
}

/// Returns the plan that turns `from` into `to`. Both must contain the same part of the data plane: a Service or prefix that is
/// only in `from` is removed.
pub fn plan(from: &Table, to: &Table) -> Plan {
    let mut plan = Plan::default();
    let nothing = ServiceTable::default();
    let names: BTreeSet<&ServiceName> = from.services.keys().chain(to.services.keys()).collect();
    for name in names {
        let before = from.services.get(name).unwrap_or(&nothing);
        let after = to.services.get(name).unwrap_or(&nothing);
        plan.compare(name, before, after);
    }
    plan.settle();
    plan.compare_networks(from, to);
    plan
}

impl Plan {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn compare(&mut self, name: &ServiceName, before: &ServiceTable, after: &ServiceTable) {
        let id = |port: &PortKey| PortId { service: name.clone(), port: port.clone() };
        let changed = after.ports.iter().filter(|(port, entry)| before.ports.get(port) != Some(entry));
        self.put_ports.extend(changed.map(|(port, entry)| (id(port), entry.clone())));
        self.remove_ports.extend(before.ports.keys().filter(|port| !after.ports.contains_key(port)).map(id));
        let changed = after.frontends.iter().filter(|(frontend, entry)| before.frontends.get(frontend) != Some(entry));
        self.put_frontends.extend(changed.map(|(frontend, entry)| (*frontend, name.clone(), entry.clone())));
        let lost = before.frontends.keys().filter(|frontend| !after.frontends.contains_key(frontend));
        self.remove_frontends.extend(lost.copied());
        let changed = after.owned.iter().filter(|(address, owner)| before.owned.get(address) != Some(owner));
        self.put_owned.extend(changed.map(|(address, owner)| (*address, name.clone(), *owner)));
        let disowned = before.owned.keys().filter(|address| !after.owned.contains_key(address));
        self.remove_owned.extend(disowned.map(|address| (*address, name.clone())));
    }

    /// Drops the removal of frontends that another Service has got: one write replaces them.
    fn settle(&mut self) {
        let put: BTreeSet<Frontend> = self.put_frontends.iter().map(|(frontend, ..)| *frontend).collect();
        self.remove_frontends.retain(|frontend| !put.contains(frontend));
    }

    fn compare_networks(&mut self, from: &Table, to: &Table) {
        let changed = to.networks.iter().filter(|(net, kind)| from.networks.get(net) != Some(kind));
        self.put_networks = changed.map(|(net, kind)| (*net, *kind)).collect();
        self.remove_networks = from.networks.keys().filter(|net| !to.networks.contains_key(net)).copied().collect();
    }
}

#[cfg(test)]
mod tests;
