//! Health checks of load balancers (S22).

use super::*;

const PORT: u16 = 32_000;

/// Service `a` for load balancers, with the fields of `more`.
fn balanced(more: Value) -> Object {
    let spec = json!({ "type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": PORT });
    service_a(merged(spec, more))
}

/// An endpoint on this node with these conditions.
fn here(address: &str, conditions: &Value) -> Value {
    json!({ "addresses": [address], "nodeName": NODE, "conditions": conditions })
}

fn health_check(world: &mut World) -> Option<(u16, usize)> {
    world.settle();
    world.checks.get(&ServiceName::new("default", "a")).map(|check| (check.port, check.endpoints))
}

#[test]
fn s22_only_load_balancers_with_the_policy_local_ask() {
    let mut world = World::new();
    for (more, expected) in [
        (json!({}), Some((PORT, 0))),
        (json!({ "type": "NodePort" }), None),
        (json!({ "externalTrafficPolicy": "Cluster" }), None),
        (json!({ "healthCheckNodePort": 0 }), None),
    ] {
        world.apply(balanced(more.clone()));
        assert_eq!(health_check(&mut world), expected, "{more}");
        assert_eq!(world.fields(), [""; 0], "{more}");
    }
}

#[test]
fn s22_what_can_be_no_port_of_its_own_is_said() {
    let mut world = World::new();
    for more in [json!({ "healthCheckNodePort": 70_000 }), json!({ "ports": [{ "port": 80, "nodePort": PORT }] })] {
        world.apply(balanced(more.clone()));
        assert_eq!(health_check(&mut world), None, "{more}");
        assert_eq!(world.fields(), ["spec.healthCheckNodePort"], "{more}");
    }
}

#[test]
fn s22_ready_endpoints_of_this_node_count_once() {
    let mut world = World::new();
    let ports = json!([{ "name": "x", "port": 80 }, { "name": "y", "port": 81 }]);
    world.apply(balanced(json!({ "ports": ports })));
    let endpoints = json!([
        here("10.244.0.1", &json!({})),
        here("10.244.0.2", &json!({ "ready": false })),
        here("10.244.0.3", &json!({ "ready": false, "serving": true, "terminating": true })),
        { "addresses": ["10.244.1.1"], "nodeName": "elsewhere" },
    ]);
    let ports = json!([{ "name": "x", "port": 8080 }, { "name": "y", "port": 8081 }]);
    world.apply(slice_with("a1", json!({ "endpoints": endpoints, "ports": ports })));
    assert_eq!(health_check(&mut world), Some((PORT, 1)), "one with two ports");
    // The copy of an address that does not terminate says on which node it is (W5).
    let moved = json!([
        { "addresses": ["10.244.0.1"], "nodeName": NODE, "conditions": { "ready": false, "terminating": true } },
        { "addresses": ["10.244.0.1"], "nodeName": "elsewhere" },
    ]);
    world.apply(slice_with("a1", json!({ "endpoints": moved, "ports": ports })));
    assert_eq!(health_check(&mut world), Some((PORT, 0)));
}

#[test]
fn n07_of_services_that_want_the_same_port_one_has_it() {
    let mut world = World::new();
    let other = |spec: Value| service_with(json!({ "name": "b", "namespace": "default" }), spec, json!({}));
    world.apply(balanced(json!({})));
    world.apply(other(
        json!({ "type": "NodePort", "clusterIP": "10.96.0.2", "ports": [{ "port": 80, "nodePort": PORT }] }),
    ));
    assert_eq!(
        (health_check(&mut world), world.service("b").frontends.len()),
        (Some((PORT, 0)), 1),
        "its ClusterIP is left"
    );
    assert_eq!(world.fields(), ["spec.ports[0].nodePort"]);
    let same = json!({
        "type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": PORT, "clusterIP": "10.96.0.2",
        "ports": [{ "port": 80 }],
    });
    world.apply(other(same));
    assert_eq!((health_check(&mut world), world.checks.len()), (Some((PORT, 0)), 1));
    assert_eq!(world.fields(), ["spec.healthCheckNodePort"]);
    // The holder releases the port.
    world.apply(balanced(json!({ "type": "ClusterIP" })));
    assert_eq!((health_check(&mut world), world.checks.len(), world.fields().len()), (None, 1, 0));
}
