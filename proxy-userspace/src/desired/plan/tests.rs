//! Invariant 5 for arbitrary tables: no step of a plan leaves an entry that refers to nothing.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proxy_common::{FrontendKind, List};

use super::*;
use crate::desired::{
    OwnerKind,
    any::{any_table, name, owned, port_key, service_of},
};

/// The data plane as the maps hold it, not divided into Services.
#[derive(Debug, Default, PartialEq)]
struct Maps {
    ports: BTreeMap<PortId, PortEntry>,
    frontends: BTreeMap<Frontend, (ServiceName, FrontendEntry)>,
    owned: BTreeMap<(IpAddr, ServiceName), Owner>,
    networks: BTreeMap<IpNet, NetworkKind>,
}

impl Maps {
    fn of(table: &Table) -> Self {
        let mut maps = Self { networks: table.networks.clone(), ..Self::default() };
        for (name, service) in &table.services {
            let id = |port: &PortKey| PortId { service: name.clone(), port: port.clone() };
            maps.ports.extend(service.ports.iter().map(|(port, entry)| (id(port), entry.clone())));
            for (frontend, entry) in &service.frontends {
                assert!(maps.frontends.insert(*frontend, (name.clone(), entry.clone())).is_none());
            }
            maps.owned.extend(service.owned.iter().map(|(address, owner)| ((*address, name.clone()), *owner)));
        }
        maps
    }

    /// Asserts that every frontend's port exists.
    fn check(&self) {
        for (service, entry) in self.frontends.values() {
            let id = PortId { service: service.clone(), port: entry.port.clone() };
            assert!(self.ports.contains_key(&id), "{id:?} is gone before its frontends");
        }
    }

    /// Writes the plan's fields one after another.
    fn write(&mut self, plan: &Plan) {
        for (id, entry) in plan.put_ports.clone() {
            self.ports.insert(id, entry);
        }
        for (frontend, name, entry) in plan.put_frontends.clone() {
            self.frontends.insert(frontend, (name, entry));
            self.check();
        }
        self.owned.extend(plan.put_owned.iter().map(|(address, name, owner)| ((*address, name.clone()), *owner)));
        self.networks.extend(plan.put_networks.iter().copied());
        for net in &plan.remove_networks {
            assert!(self.networks.remove(net).is_some());
        }
        for disowned in &plan.remove_owned {
            assert!(self.owned.remove(disowned).is_some());
        }
        for frontend in &plan.remove_frontends {
            assert!(self.frontends.remove(frontend).is_some());
        }
        for id in &plan.remove_ports {
            assert!(self.ports.remove(id).is_some());
            self.check();
        }
    }
}

proptest! {
    #[test]
    fn invariant_5_a_plan_to_where_one_is_is_empty(table in any_table()) {
        prop_assert!(plan(&table, &table).is_empty());
    }

    #[test]
    fn invariant_5_the_written_steps_alone_give_the_goal(from in any_table(), to in any_table()) {
        let mut maps = Maps::of(&from);
        maps.write(&plan(&from, &to));
        prop_assert_eq!(maps, Maps::of(&to));
    }
}

#[test]
fn a_frontend_that_changes_hands_is_put_and_never_removed() {
    let with = |holder: usize| {
        let mut table = Table::default();
        let service = service_of(&mut table, &name(holder));
        service.ports.insert(port_key(0), PortEntry::default());
        let (port, kind) = (port_key(0), FrontendKind::ClusterIp);
        let entry = FrontendEntry { port, kind, internal: List::Cluster, external: List::Cluster };
        service.frontends.insert(Frontend::new(owned(1).into(), 80, 6), entry);
        service.owned.insert(owned(1), Owner { kind: OwnerKind::ClusterIp, usable: false });
        table
    };
    let plan = plan(&with(0), &with(1));
    assert_eq!(plan.put_frontends.len(), 1);
    assert_eq!((plan.remove_frontends.len(), plan.put_owned.len(), plan.remove_owned.len()), (0, 1, 1));
    assert_eq!((plan.put_ports.len(), plan.remove_ports.len()), (1, 1));
}
