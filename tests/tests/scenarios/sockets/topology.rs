//! Hints for zones and nodes (S15).

use harness::{
    objects::{SliceBuilder, lab_node},
    scene::{Family, Scene, Setup, from_both_over_both, web, web_slice},
};

const ALL: &[&str] = &["p1", "p2", "p3"];

/// Runs the scenario on a node in zone z1, over both families.
fn in_zone_1(name: &str, scenario: impl Fn(&Scene, Family)) {
    from_both_over_both(Setup::new(name).zone("z1"), scenario);
}

/// Puts a Service, and a slice of the three backends, each refined by the function at its index.
fn hinted(scene: &Scene, family: Family, refine: [&dyn Fn(SliceBuilder) -> SliceBuilder; 3]) {
    let name = family.name("web");
    scene.put(&web(&name, [family.cluster_ip(10)]).build());
    let slice = refine
        .iter()
        .zip(1..)
        .fold(web_slice(&name, family), |slice, (refine, number)| refine(slice.pod(scene.pod(number))));
    scene.put(&slice.build());
}

#[test]
fn s15_zone_hints_count_when_every_ready_endpoint_has_one() {
    let zone = |name: &'static str| move |slice: SliceBuilder| slice.zone_hint(name);
    in_zone_1("s15-zone", |scene, family| {
        let to = family.frontend(10);
        hinted(scene, family, [&zone("z1"), &zone("z2"), &zone("z1")]);
        scene.expect(to, &["p1", "p3"]);
        hinted(scene, family, [&zone("z1"), &zone("z2"), &|slice| slice]);
        scene.expect(to, ALL);
        hinted(scene, family, [&zone("z2"), &zone("z2"), &zone("z3")]);
        scene.expect(to, ALL);
        hinted(scene, family, [&zone("z2"), &|slice| slice.zone_hint("z3").zone_hint("z1"), &zone("z3")]);
        scene.expect(to, &["p2"]);
        // Only ready endpoints are considered.
        hinted(scene, family, [&zone("z1"), &zone("z2"), &SliceBuilder::draining]);
        scene.expect(to, &["p1"]);
    });
}

#[test]
fn s15_node_hints_come_before_zone_hints() {
    let node = |name: &'static str| move |slice: SliceBuilder| slice.node_hint(name).zone_hint("z2");
    let zone = |slice: SliceBuilder| slice.zone_hint("z1");
    in_zone_1("s15-node", |scene, family| {
        let to = family.frontend(10);
        hinted(scene, family, [&|slice| slice.node_hint("a").zone_hint("z1"), &node("b"), &node("b")]);
        scene.expect(to, &["p1"]);
        hinted(scene, family, [&|slice| slice.node_hint("b").node_hint("a"), &node("b"), &node("c")]);
        scene.expect(to, &["p1"]);
        // No hint names this node, so zones decide.
        hinted(scene, family, [&|slice| slice.node_hint("c").zone_hint("z1"), &node("b"), &node("b")]);
        scene.expect(to, &["p1"]);
        // One endpoint has no node hint, so zones decide.
        hinted(scene, family, [&node("a"), &zone, &zone]);
        scene.expect(to, &["p2", "p3"]);
    });
}

#[test]
fn s15_topology_is_not_for_local_lists_nor_for_the_fall_back() {
    in_zone_1("s15-not", |scene, family| {
        let (name, to) = (family.name("web"), family.frontend(10));
        let elsewhere = |slice: SliceBuilder| slice.zone_hint("z2");
        hinted(scene, family, [&|slice| slice.zone_hint("z1"), &elsewhere, &elsewhere]);
        scene.expect(to, &["p1"]);
        scene.put(&web(&name, [family.cluster_ip(10)]).internal_local().build());
        scene.expect(to, ALL);
        hinted(
            scene,
            family,
            [&|slice| slice.draining().zone_hint("z1"), &|slice| elsewhere(slice.draining()), &|slice| {
                elsewhere(slice.draining())
            }],
        );
        scene.expect(to, ALL);
    });
}

#[test]
fn s15_the_nodes_zone_is_followed() {
    in_zone_1("s15-live", |scene, family| {
        let to = family.frontend(10);
        hinted(
            scene,
            family,
            [&|slice| slice.zone_hint("z1"), &|slice| slice.zone_hint("z2"), &|slice| slice.zone_hint("z3")],
        );
        scene.expect(to, &["p1"]);
        for (zone, wanted) in [("z2", &["p2"][..]), ("z3", &["p3"]), ("z4", ALL), ("z1", &["p1"])] {
            scene.put(&lab_node(&scene.node).zone(zone).build());
            scene.expect(to, wanted);
        }
        scene.put(&lab_node(&scene.node).build());
        scene.expect(to, ALL);
        scene.put(&lab_node(&scene.node).zone("z1").build());
        scene.expect(to, &["p1"]);
    });
}
