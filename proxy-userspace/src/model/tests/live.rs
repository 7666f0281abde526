//! Tests S33: the table depends on the current objects alone, not on earlier ones.

use proptest::prelude::*;

use super::{
    random::{Step, any_step},
    *,
};

/// The objects and addresses that are left after all steps.
#[derive(Default)]
struct Now {
    objects: BTreeMap<ObjectRef, Object>,
    local: LocalAddresses,
}

/// Applies the steps, as the control loop would.
fn live(steps: &[Step]) -> (World, Now) {
    let (mut world, mut now) = (World::new(), Now::default());
    for step in steps.iter().cloned() {
        match step {
            Step::Apply(object) => {
                world.apply(object.clone());
                now.objects.insert(object.reference(), object);
            }
            Step::Delete(object) => {
                world.delete(&object);
                now.objects.remove(&object.reference());
            }
            Step::Move(local) => {
                world.model.set_node_addresses(local.clone());
                now.local = local;
            }
            Step::Settle => _ = world.settle(),
        }
    }
    world.settle();
    (world, now)
}

/// A world that saw only `objects`, before the lists were complete.
fn fresh(objects: impl Iterator<Item = Object>, local: LocalAddresses) -> World {
    let mut world = World::unlisted(NodePortAddresses::Primary);
    objects.for_each(|object| _ = world.apply(object));
    world.model.set_node_addresses(local);
    world.list_everything();
    world.settle();
    world
}

/// Checks the invariants of a table that its types can't enforce.
fn check_promises(table: &Table) {
    let mut seen = BTreeSet::new();
    for (name, service) in &table.services {
        assert_ne!(*service, ServiceTable::default(), "{name} is empty");
        let mut needed = BTreeSet::new();
        for (frontend, entry) in &service.frontends {
            assert!(seen.insert(*frontend), "{frontend:?} is there twice");
            assert_ne!(entry.kind, FrontendKind::Owner);
            needed.extend([entry.internal, entry.external].map(|list| (&entry.port, list)));
        }
        let there = service.ports.iter().flat_map(|(key, port)| port.lists.keys().map(move |list| (key, *list)));
        assert_eq!(there.collect::<BTreeSet<_>>(), needed, "lists of {name}");
        for (key, port) in &service.ports {
            for list in port.lists.values() {
                assert!(list.iter().is_sorted_by(|a, b| a < b));
                assert!(list.iter().all(|backend| Family::of(backend.ip()) == key.family));
                assert!(port.usable || list.is_empty());
            }
        }
        for (address, _) in service.owned.iter().filter(|(_, owner)| owner.kind == OwnerKind::ClusterIp) {
            assert!(seen.insert(Frontend::owner((*address).into())), "{address} has two owners");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn s33_any_history_gives_what_the_present_objects_give(steps in prop::collection::vec(any_step(), 0..40)) {
        let (world, now) = live(&steps);
        check_promises(&world.table);
        let forwards = fresh(now.objects.values().cloned(), now.local.clone());
        prop_assert_eq!(&world.table, &forwards.table);
        prop_assert_eq!(&world.diagnostics, &forwards.diagnostics);
        let backwards = fresh(now.objects.values().rev().cloned(), now.local.clone());
        prop_assert_eq!(&world.table, &backwards.table);
        prop_assert_eq!(&world.diagnostics, &backwards.diagnostics);
    }

    #[test]
    fn s33_the_same_objects_again_touch_nothing(steps in prop::collection::vec(any_step(), 0..20)) {
        let (mut world, now) = live(&steps);
        now.objects.into_values().for_each(|object| _ = world.apply(object));
        world.model.set_node_addresses(now.local);
        prop_assert_eq!(world.settle(), Touched::default());
    }

    #[test]
    fn s33_deleting_everything_leaves_nothing(steps in prop::collection::vec(any_step(), 0..30)) {
        let (mut world, now) = live(&steps);
        now.objects.values().for_each(|object| _ = world.delete(object));
        world.model.set_node_addresses(LocalAddresses::default());
        world.settle();
        let nothing = World::new().model.project(&Touched { networks: true, ..Touched::default() });
        prop_assert_eq!(&world.table, &nothing.table);
        prop_assert!(world.diagnostics.is_empty());
        prop_assert!(world.model.services.is_empty() && world.model.slices.is_empty());
        prop_assert_eq!(world.model.claims.cluster_ips().count(), 0);
    }
}

#[test]
fn s33_every_type_change_takes_effect_and_leaves_nothing() {
    let ports = json!([{ "port": 80, "nodePort": 30080 }]);
    let of = |kind: &str| {
        let metadata = json!({ "name": "a", "namespace": "default" });
        let spec = json!({ "type": kind, "clusterIP": "10.96.0.1", "ports": ports });
        service_with(metadata, spec, json!({ "loadBalancer": { "ingress": [{ "ip": "203.0.113.1" }] } }))
    };
    let types = [("ClusterIP", 1), ("NodePort", 2), ("LoadBalancer", 3), ("ExternalName", 0)];
    for (before, _) in types {
        for (after, frontends) in types {
            let mut world = World::new();
            world.apply(of(before)).settle();
            assert_eq!(world.apply(of(after)).service("a").frontends.len(), frontends, "{before} to {after}");
        }
    }
}

#[test]
fn s33_another_cluster_ip_or_port_replaces_the_old_one() {
    let mut world = World::new();
    let spec = |address: &str, port: u16| service("a", json!({ "clusterIP": address, "ports": [{ "port": port }] }));
    let keys = |world: &mut World| world.service("a").frontends.into_keys().collect::<Vec<_>>();
    assert_eq!(keys(world.apply(spec("10.96.0.1", 80))), [tcp("10.96.0.1", 80)]);
    assert_eq!(keys(world.apply(spec("10.96.0.1", 81))), [tcp("10.96.0.1", 81)]);
    assert_eq!(keys(world.apply(spec("10.96.0.2", 81))), [tcp("10.96.0.2", 81)]);
    let own: IpAddr = [10, 96, 0, 2].into();
    assert_eq!(world.service("a").owned.into_keys().collect::<Vec<_>>(), [own]);
}
