//! Tests the writer with maps in memory: what it leaves there, what a program would see after each write, and what is left when
//! maps are full or refuse a write.

mod changes;
mod contents;

use std::{cell::RefCell, rc::Rc};

use proptest::prelude::*;

use self::contents::{Contents, Promise};
use super::*;
use crate::{
    desired::{PortEntry, any::any_table, plan::plan, sorted::SortedMap},
    maps::memory::{Capacities, Kernel as Writes, Memory},
};

impl Dataplane<Memory> {
    /// Returns a data plane with maps in memory, all empty and large.
    pub(crate) fn in_memory() -> Self {
        World::new(Capacities { service_ids: 4096, slots: 65_536, backends: 16_384, ..Capacities::AMPLE }).dataplane
    }
}

/// A data plane, and its maps as programs see them.
struct World {
    dataplane: Dataplane<Memory>,
    maps: Rc<Maps<Memory>>,
    writes: Writes,
    promise: Rc<RefCell<Promise>>,
}

impl World {
    fn new(capacities: Capacities) -> Self {
        let writes = Writes::default();
        let maps = Maps::new(capacities, &writes);
        let seen = Rc::new(maps.share());
        Self { dataplane: Self::start(maps), maps: seen, writes, promise: Rc::default() }
    }

    fn start(maps: Maps<Memory>) -> Dataplane<Memory> {
        Dataplane::new(maps, SnatPorts::parse("32768 60999", "").expect("parse the ports of a host"))
    }

    /// Starts another agent with the same maps.
    fn restart(&mut self) {
        self.writes.revive();
        self.dataplane = Self::start(self.maps.share());
    }

    /// From now on checks after each write that the maps keep the promise.
    fn watch(&self) {
        let (maps, promise) = (self.maps.clone(), self.promise.clone());
        self.writes.witness(move || promise.borrow().check(&maps));
    }

    fn apply(&mut self, to: &Table) -> Applied {
        self.dataplane.apply(plan(self.dataplane.table(), to))
    }

    /// Applies until nothing is refused, as the agent does. Returns false if something is refused four times.
    fn settle(&mut self, to: &Table) -> bool {
        (0..4).any(|_| {
            let outcome = self.apply(to);
            outcome.refused.is_empty() && outcome.refused_networks.is_empty()
        })
    }

    /// Returns what the maps hold once everything has been reclaimed and the filters are cleared.
    fn contents(&mut self) -> Contents {
        self.dataplane.reclaim();
        self.dataplane.tidy();
        Contents::of_maps(&self.maps)
    }

    fn check_exactly(&mut self, table: &Table) -> Result<(), TestCaseError> {
        let contents = self.contents();
        let expected = Contents::of_table(table, &contents);
        let used = self.dataplane.used();
        prop_assert_eq!((used.members as usize, used.source_ranges as usize), contents.extra_entries());
        prop_assert_eq!(contents, expected);
        prop_assert_eq!(self.dataplane.table(), table);
        Ok(())
    }
}

/// For each of the next writes, the errno that it fails with, if any.
fn any_errors() -> impl Strategy<Value = Vec<Option<i32>>> {
    let error = prop::sample::select(&[libc::E2BIG, libc::ENOMEM, libc::EINVAL][..]);
    prop::collection::vec(prop::option::weighted(0.15, error), 0..60)
}

prop_compose! {
    fn any_capacities()(
        services in 1..8_usize,
        service_ids in 2..8_u32,
        slots in 1..16_u32,
        backends in 2..8_u32,
        members in 1..8_usize,
        networks in 1..4_usize,
        source_ranges in 1..6_usize,
    ) -> Capacities {
        Capacities { services, service_ids, slots, backends, members, networks, source_ranges }
    }
}

proptest! {
    #[test]
    fn invariant_5_a_plan_written_to_the_maps_leaves_exactly_its_goal(from in any_table(), to in any_table()) {
        let mut world = World::new(Capacities::AMPLE);
        prop_assert!(world.settle(&from));
        world.check_exactly(&from)?;
        *world.promise.borrow_mut() = Promise::between(&from, &to);
        world.watch();
        let outcome = world.apply(&to);
        prop_assert!(outcome.refused.is_empty() && outcome.refused_networks.is_empty());
        world.check_exactly(&to)?;
    }

    #[test]
    fn invariant_5_what_the_kernel_refuses_is_written_later(
        from in any_table(),
        to in any_table(),
        errors in any_errors(),
    ) {
        let mut world = World::new(Capacities::AMPLE);
        prop_assert!(world.settle(&from));
        *world.promise.borrow_mut() = Promise::between(&from, &to);
        world.watch();
        world.writes.refuse(errors);
        world.apply(&to);
        world.writes.refuse([]);
        prop_assert!(world.settle(&to), "nothing is refused any more");
        world.check_exactly(&to)?;
    }

    #[test]
    fn invariant_4_an_agent_killed_between_two_writes_leaves_what_served(
        from in any_table(),
        to in any_table(),
        after in 0..120_u32,
    ) {
        let mut world = World::new(Capacities::AMPLE);
        prop_assert!(world.settle(&from));
        *world.promise.borrow_mut() = Promise::between(&from, &to);
        world.watch();
        world.writes.kill_after(after);
        world.apply(&to);
        world.restart();
        prop_assert!(world.settle(&to));
        world.dataplane.sweep();
        world.check_exactly(&to)?;
    }

    #[test]
    fn invariant_4_a_restart_needs_no_room(capacities in any_capacities(), mut table in any_table()) {
        // No draining backends: one may have got its id only after the port that it drains from was written.
        for service in table.services.values_mut() {
            let ports = std::mem::take(&mut service.ports).into_iter();
            service.ports.extend(ports.map(|(key, entry)| (key, PortEntry { draining: SortedMap::new(), ..entry })));
        }
        let mut world = World::new(capacities);
        if world.settle(&table) {
            *world.promise.borrow_mut() = Promise::between(&table, &table);
            world.watch();
            world.restart();
            let outcome = world.apply(&table);
            prop_assert!(outcome.refused.is_empty() && outcome.refused_networks.is_empty(), "{:?}", outcome);
            world.dataplane.sweep();
            world.check_exactly(&table)?;
        }
    }

    #[test]
    fn invariant_5_full_maps_keep_what_is_in_force(
        capacities in any_capacities(),
        from in any_table(),
        to in any_table(),
    ) {
        let mut world = World::new(capacities);
        if world.settle(&from) {
            world.check_exactly(&from)?;
            *world.promise.borrow_mut() = Promise::between(&from, &to);
            world.watch();
            if world.settle(&to) {
                world.check_exactly(&to)?;
            }
        }
        // What could not be written leaves nothing behind.
        *world.promise.borrow_mut() = Promise::default();
        prop_assert!(world.settle(&Table::default()));
        world.check_exactly(&Table::default())?;
    }
}
