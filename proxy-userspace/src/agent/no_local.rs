//! Counts the service ports with a policy of Local and no backend on this node, while another node has one (S16): new flows to
//! them are dropped here. Kept from one plan to the next: a plan updates only the numbers of the Services that it touches.

use std::collections::{BTreeMap, BTreeSet};

use proxy_common::{FrontendKind, List};

use crate::desired::{BackendList, Family, PortKey, ServiceName, ServiceTable, Table};

/// Numbers of service ports whose policy is Local and which have no backend on this node: IPv4, then IPv6.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoLocal {
    /// Ports whose `internalTrafficPolicy` is Local.
    pub internal: [u32; 2],
    /// Ports whose `externalTrafficPolicy` is Local.
    pub external: [u32; 2],
}

/// The numbers of each Service that has such ports, and their sum.
#[derive(Debug, Default)]
pub(super) struct NoLocals {
    services: BTreeMap<ServiceName, NoLocal>,
    sum: NoLocal,
}

impl NoLocals {
    /// Counts the ports of the Services in `touched` again.
    pub(super) fn update(&mut self, touched: &BTreeSet<ServiceName>, table: &Table) {
        for service in touched {
            let now = table.services.get(service).map(of).unwrap_or_default();
            self.add(now);
            let before = if now == NoLocal::default() {
                self.services.remove(service)
            } else {
                self.services.insert(service.clone(), now)
            };
            self.take(before.unwrap_or_default());
        }
    }

    /// Returns the numbers of all Services together.
    pub(super) fn sum(&self) -> NoLocal {
        self.sum
    }

    fn add(&mut self, more: NoLocal) {
        for family in 0..2 {
            self.sum.internal[family] += more.internal[family];
            self.sum.external[family] += more.external[family];
        }
    }

    fn take(&mut self, less: NoLocal) {
        for family in 0..2 {
            self.sum.internal[family] -= less.internal[family];
            self.sum.external[family] -= less.external[family];
        }
    }
}

fn of(service: &ServiceTable) -> NoLocal {
    let mut numbers = NoLocal::default();
    for (port, entry) in service.ports.iter() {
        let is_elsewhere = entry.usable && entry.lists.get(&List::Local).is_some_and(BackendList::is_empty);
        let family = usize::from(port.family == Family::Ipv6);
        numbers.internal[family] += u32::from(is_elsewhere && is_local(service, port, true));
        numbers.external[family] += u32::from(is_elsewhere && is_local(service, port, false));
    }
    numbers
}

/// Whether the port's internal or external frontends use the Local list.
fn is_local(service: &ServiceTable, port: &PortKey, internal: bool) -> bool {
    let is_of = |kind: FrontendKind| (kind == FrontendKind::ClusterIp) == internal;
    service.frontends.values().any(|entry| entry.port == *port && is_of(entry.kind) && entry.external == List::Local)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proxy_common::{Frontend, Protocol};

    use super::*;
    use crate::desired::{FrontendEntry, PortEntry};

    /// A table with one IPv6 Service, which has a ClusterIP, a node port, a backend on another node and the backends `here`.
    fn table(internal: List, external: List, here: &[&str]) -> Table {
        let port = PortKey { name: Arc::from("http"), protocol: Protocol::Tcp, family: Family::Ipv6 };
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<BackendList>();
        let lists = [(List::Cluster, addresses(&["[fd00::9]:80"])), (List::Local, addresses(here))];
        let entry = PortEntry { usable: true, lists: lists.into(), ..PortEntry::default() };
        let mut service = ServiceTable::default();
        service.ports.insert(port.clone(), entry);
        for (kind, internal, external) in
            [(FrontendKind::ClusterIp, internal, internal), (FrontendKind::NodePort, List::Cluster, external)]
        {
            let frontend = Frontend::new(std::net::IpAddr::from([0; 16]).into(), 80 + kind as u16, 6);
            service.frontends.insert(frontend, FrontendEntry { port: port.clone(), kind, internal, external });
        }
        let services = BTreeMap::from([(ServiceName::new("shop", "web"), service)]);
        Table { services, ..Table::default() }
    }

    #[test]
    fn s16_ports_without_a_backend_here_are_counted_by_policy() {
        let touched = BTreeSet::from([ServiceName::new("shop", "web")]);
        let mut numbers = NoLocals::default();
        let mut of = |table: &Table| {
            numbers.update(&touched, table);
            let NoLocal { internal, external } = numbers.sum();
            (internal, external)
        };
        assert_eq!(of(&table(List::Cluster, List::Cluster, &[])), ([0, 0], [0, 0]));
        assert_eq!(of(&table(List::Local, List::Cluster, &[])), ([0, 1], [0, 0]));
        assert_eq!(of(&table(List::Local, List::Local, &[])), ([0, 1], [0, 1]));
        assert_eq!(of(&table(List::Cluster, List::Local, &[])), ([0, 0], [0, 1]));
        assert_eq!(of(&table(List::Local, List::Local, &["[fd00::1]:80"])), ([0, 0], [0, 0]));
        assert_eq!(of(&table(List::Local, List::Local, &[])), ([0, 1], [0, 1]));
        assert_eq!(of(&Table::default()), ([0, 0], [0, 0]), "deleted");
    }
}
