//! A model and the table of its projections, as in the agent. Checks that the result does not depend on the order of events.

use std::collections::BTreeMap;

use crate::{
    desired::{Table, plan::plan},
    model::{Model, ModelConfig},
    objects::{Event, Kind, LocalAddresses, Object, ObjectRef},
};

/// This node's name.
pub(super) const NODE: &str = "node-1";

/// The state of an agent.
pub(super) struct World {
    model: Model,
    table: Table,
    /// The objects that exist.
    objects: BTreeMap<ObjectRef, Object>,
}

impl Default for World {
    fn default() -> Self {
        let mut model = Model::new(ModelConfig { node_name: NODE.to_owned(), ..ModelConfig::default() });
        let own = ["192.0.2.1".parse(), "2001:db8::1".parse()].map(|ip| ip.expect("an address"));
        model.set_node_addresses(LocalAddresses {
            all: own.into(),
            primary: own.into(),
            networks: ["192.0.2.0/24".parse().expect("a network")].into(),
            ..LocalAddresses::default()
        });
        Self { model, table: Table::default(), objects: BTreeMap::new() }
    }
}

impl World {
    /// Returns a world in which every kind has been listed, without objects.
    pub(super) fn listed() -> Self {
        let mut world = Self::default();
        world.take(Kind::ALL.map(Event::Listed));
        world
    }

    /// Applies events to the model.
    pub(super) fn take(&mut self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            match &event {
                Event::Applied(object) => drop(self.objects.insert(object.reference(), object.as_ref().clone())),
                Event::Deleted(reference) => drop(self.objects.remove(reference)),
                Event::Listed(_) => {}
            }
            self.model.apply(event);
        }
    }

    /// Projects and plans the changes, if every kind has been listed.
    pub(super) fn settle(&mut self) {
        if !self.model.is_listed() {
            return;
        }
        let touched = self.model.take_touched();
        let projection = self.model.project(&touched);
        let _ = self.model.own_addresses();
        let _ = plan(&touched.part_of(&self.table), &projection.table);
        self.table.services.retain(|name, _| !touched.services.contains(name));
        self.table.services.extend(projection.table.services);
        if touched.networks {
            self.table.networks = projection.table.networks;
        }
    }

    /// Settles, and panics if a fresh model that gets only the existing objects has another table.
    pub(super) fn check(mut self) {
        if !self.model.is_listed() {
            return;
        }
        self.settle();
        let mut fresh = Self::listed();
        fresh.take(self.objects.into_values().map(|object| Event::Applied(Box::new(object))));
        fresh.settle();
        let difference = plan(&fresh.table, &self.table);
        assert!(difference.is_empty() && fresh.table == self.table, "the order of events matters: {difference:#?}");
    }
}
