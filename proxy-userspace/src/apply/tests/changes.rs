//! Tests when a service port counts as changed.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::World;
use crate::{
    desired::{PortEntry, PortId, Table, any::any_table},
    maps::{encode, memory::Capacities, store::Entries as _},
};

/// A time long ago.
const LONG_AGO: u64 = 1;

impl World {
    /// Notes for every port that it last changed long ago.
    fn date_back(&self) {
        let mut maps = self.maps.share();
        for (id, mut name) in self.maps.service_names.entries() {
            name.changed = LONG_AGO;
            maps.service_names.put(id, name).expect("an entry is replaced");
        }
    }

    /// Returns whether each port has changed since [`Self::date_back`].
    fn changed(&self) -> BTreeMap<PortId, bool> {
        let names = self.maps.service_names.entries().map(|(_, name)| name);
        names.map(|name| (encode::port_id(&name).expect("a port"), name.changed != LONG_AGO)).collect()
    }
}

fn ports(table: &Table) -> BTreeMap<PortId, &PortEntry> {
    let services = table.services.iter();
    services
        .flat_map(|(service, table)| {
            let id = |port: &crate::desired::PortKey| PortId { service: service.clone(), port: port.clone() };
            table.ports.iter().map(move |(port, entry)| (id(port), entry))
        })
        .collect()
}

proptest! {
    #[test]
    fn a_port_has_changed_if_its_backends_or_source_ranges_have(from in any_table(), to in any_table()) {
        let mut world = World::new(Capacities::AMPLE);
        prop_assert!(world.settle(&from));
        prop_assert!(world.changed().values().all(|changed| *changed), "every new port has a time");
        world.date_back();
        world.restart();
        prop_assert!(world.settle(&from));
        world.dataplane.sweep();
        prop_assert!(world.changed().values().all(|changed| !*changed), "a restart changes nothing");
        prop_assert!(world.settle(&to));
        let before = ports(&from);
        let same = |now: &PortEntry, before: &PortEntry| {
            (now.usable, &now.lists, &now.sources) == (before.usable, &before.lists, &before.sources)
        };
        let expected = ports(&to).into_iter().map(|(id, now)| {
            let changed = before.get(&id).is_none_or(|before| !same(now, before));
            (id, changed)
        });
        prop_assert_eq!(world.changed(), expected.collect());
    }
}
