//! Tests of several Services that claim the same frontend or address.

use super::*;

fn aged(name: &str, created: &str, spec: Value) -> Object {
    service_with(json!({ "name": name, "namespace": "default", "creationTimestamp": created }), spec, json!({}))
}

fn spec() -> Value {
    json!({ "type": "NodePort", "clusterIP": "10.96.0.1", "ports": [{ "port": 80, "nodePort": 30080 }] })
}

const OLD: &str = "2020-01-01T00:00:00Z";
const NEW: &str = "2021-01-01T00:00:00Z";

#[test]
fn the_older_service_wins_and_the_younger_takes_over() {
    let mut world = World::new();
    world.apply(aged("a", NEW, spec()));
    assert_eq!(world.service("a").frontends.len(), 2);
    let older = aged("b", OLD, spec());
    world.apply(older.clone());
    assert_eq!((world.service("a"), world.service("b").frontends.len()), (ServiceTable::default(), 2));
    assert_eq!(world.fields(), ["spec.clusterIPs", "spec.clusterIPs", "spec.ports[0].nodePort"]);
    let reasons: Vec<_> = world.diagnostics.values().flatten().map(|diagnostic| diagnostic.reason.clone()).collect();
    assert!(reasons.iter().all(|reason| reason.contains("default/b")), "{reasons:?}");
    world.delete(&older);
    assert_eq!((world.service("a").frontends.len(), world.service("a").owned.len()), (2, 1));
    assert_eq!(world.fields(), [""; 0]);
}

#[test]
fn of_equally_old_services_the_first_by_name_wins() {
    for names in [["a", "b"], ["b", "a"]] {
        let mut world = World::new();
        for name in names {
            world.apply(aged(name, OLD, spec()));
        }
        assert_eq!((world.service("a").frontends.len(), world.service("b").frontends.len()), (2, 0));
    }
}

#[test]
fn only_what_collides_is_lost() {
    let mut world = World::new();
    let ports = json!([{ "name": "one", "port": 80 }, { "name": "two", "port": 81 }]);
    let external = |ip: &str, ports: Value| json!({ "clusterIP": ip, "externalIPs": ["203.0.113.1"], "ports": ports });
    world.apply(aged("a", OLD, external("10.96.0.1", json!([{ "port": 80 }]))));
    world.apply(aged("b", NEW, external("10.96.0.2", ports)));
    let keys: Vec<_> = world.service("b").frontends.into_keys().collect();
    assert_eq!(keys, [tcp("10.96.0.2", 80), tcp("10.96.0.2", 81), tcp("203.0.113.1", 81)]);
    assert_eq!(world.fields(), ["spec.externalIPs"]);
}

#[test]
fn s18_no_external_ip_takes_a_load_balancer_ip_however_old_its_service_is() {
    let ports = json!([{ "port": 80 }]);
    let status = json!({ "loadBalancer": { "ingress": [{ "ip": "203.0.113.1" }] } });
    let metadata =
        |name: &str, created: &str| json!({ "name": name, "namespace": "default", "creationTimestamp": created });
    let balanced = json!({ "type": "LoadBalancer", "clusterIP": "10.96.0.2", "ports": ports });
    let balanced = service_with(metadata("balanced", NEW), balanced, status);
    let greedy =
        json!({ "clusterIP": "10.96.0.1", "externalIPs": ["203.0.113.1", "::ffff:203.0.113.1"], "ports": ports });
    let greedy = aged("greedy", OLD, greedy);
    for objects in [[&balanced, &greedy], [&greedy, &balanced]] {
        let mut world = World::new();
        for object in objects {
            world.apply(object.clone());
        }
        let mut keys = |name: &str| world.service(name).frontends.into_keys().collect::<Vec<_>>();
        assert_eq!(keys("balanced"), [tcp("10.96.0.2", 80), tcp("203.0.113.1", 80)]);
        assert_eq!(keys("greedy"), [tcp("10.96.0.1", 80)]);
        assert_eq!(world.fields(), ["spec.externalIPs"]);
        world.delete(&balanced);
        assert_eq!(world.service("greedy").frontends.len(), 2, "it waits for the address");
    }
}

#[test]
fn a_recreated_service_loses_its_age() {
    let mut world = World::new();
    world.apply(aged("a", OLD, spec())).apply(aged("b", NEW, spec()));
    assert_eq!(world.service("a").frontends.len(), 2);
    world.apply(aged("a", "2022-01-01T00:00:00Z", spec()));
    assert_eq!((world.service("a").frontends.len(), world.service("b").frontends.len()), (0, 2));
}
