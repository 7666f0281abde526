//! Which backends serve: conditions, traffic policies, and the error for a client when none does (S12 to S17).

use std::{net::SocketAddr, time::Duration};

use harness::{
    lab::{Dial, Step, Transport},
    objects::{ServiceBuilder, SliceBuilder},
    scene::{Family, Scene, TRANSPORTS, from_both, from_both_over_both, over_both, web, web_node_port, web_slice},
};

const REFUSED: &[&str] = &["ECONNREFUSED"];
const UNREACHABLE: &[&str] = &["EHOSTUNREACH"];

/// A slice with the scene's backends, each as `(number, node)`.
fn placed(scene: &Scene, service: &str, family: Family, pods: &[(usize, &str)]) -> SliceBuilder {
    pods.iter().fold(web_slice(service, family), |slice, (number, node)| slice.pod(scene.pod(*number)).node(node))
}

#[test]
fn s9_s13_conditions_decide_who_is_usable() {
    /// ready, serving, terminating; `None` is absent. Then whether such an endpoint gets new flows beside a ready one,
    /// and whether it gets them without one.
    const ROWS: [([Option<bool>; 3], bool, bool); 8] = [
        ([None, None, None], true, true),
        ([Some(true), None, None], true, true),
        ([None, Some(false), None], true, true),
        ([Some(false), Some(true), Some(false)], false, false),
        ([Some(false), None, None], false, false),
        ([Some(false), Some(true), Some(true)], false, true),
        ([Some(false), None, Some(true)], false, true),
        ([Some(false), Some(false), Some(true)], false, false),
    ];
    from_both_over_both("s9", |scene, family| {
        let service = family.name("web");
        scene.put(&web(&service, [family.cluster_ip(10)]).build());
        for (conditions, beside, alone) in ROWS {
            println!("{conditions:?}");
            let row = |slice: SliceBuilder| {
                let [ready, serving, terminating] = conditions;
                let slice = ready.into_iter().fold(slice.pod(scene.pod(1)), SliceBuilder::ready);
                let slice = serving.into_iter().fold(slice, SliceBuilder::serving);
                terminating.into_iter().fold(slice, SliceBuilder::terminating)
            };
            scene.put(&row(web_slice(&service, family).pod(scene.pod(2))).build());
            scene.expect(family.frontend(10), if beside { &["p1", "p2"] } else { &["p2"] });
            scene.put(&row(web_slice(&service, family)).build());
            scene.expect(family.frontend(10), if alone { &["p1"] } else { REFUSED });
        }
    });
}

#[test]
fn s12_terminating_backends_serve_only_while_none_is_ready() {
    from_both_over_both("s12", |scene, family| {
        let (service, to) = (family.name("web"), family.frontend(10));
        let draining = || web_slice(&service, family).pod(scene.pod(1)).draining().pod(scene.pod(2)).draining();
        scene.put(&web(&service, [family.cluster_ip(10)]).build());
        scene.put(&draining().pod(scene.pod(3)).build());
        scene.expect(to, &["p3"]);
        scene.put(&draining().pod(scene.pod(3)).ready(false).build());
        scene.expect(to, &["p1", "p2"]);
        scene.put(&draining().pod(scene.pod(3)).ready(true).build());
        scene.expect(to, &["p3"]);
    });
}

#[test]
fn s13_each_list_falls_back_on_its_own() {
    from_both_over_both("s13", |scene, family| {
        let (service, to) = (family.name("web"), family.frontend(10));
        // On this node only a terminating backend, on another a ready one: the Local list falls back to it, the
        // Cluster list does not.
        let slice = placed(scene, &service, family, &[(1, "a")]).draining();
        scene.put(&slice.pod(scene.pod(2)).node("b").build());
        scene.put(&web(&service, [family.cluster_ip(10)]).build());
        scene.expect(to, &["p2"]);
        scene.put(&web(&service, [family.cluster_ip(10)]).internal_local().build());
        scene.expect(to, &["p1"]);
    });
}

#[test]
fn s16_no_endpoints_refuse_at_once() {
    from_both("s16", |scene| {
        let service = web("web", Family::BOTH.map(|family| family.cluster_ip(10)));
        scene.put(&service.build());
        over_both(|family| {
            let to = family.frontend(10);
            scene.expect(to, REFUSED);
            for (transport, step) in TRANSPORTS.into_iter().zip([Step::Connect, Step::Connect, Step::Send]) {
                let outcomes = scene.from_pod.dial_all(&Dial::new(transport, to).count(20));
                let failures: Vec<_> = outcomes.into_iter().map(Result::unwrap_err).collect();
                for failure in &failures {
                    assert_eq!((failure.errno.as_str(), failure.step), ("ECONNREFUSED", step), "{transport:?} to {to}");
                }
                // Any failure may have had to wait for a processor, but not all: waiting for a reply would delay every
                // one.
                let fastest = failures.iter().map(|failure| failure.elapsed).min().unwrap();
                assert!(fastest < Duration::from_millis(50), "{transport:?} to {to}: {fastest:?}");
            }
        });
    });
}

#[test]
fn s16_internal_local_uses_this_nodes_backends_or_tells_why_not() {
    from_both_over_both("s16-itp", |scene, family| {
        let (service, to) = (family.name("web"), family.frontend(10));
        let slice = |pods: &[(usize, &str)]| scene.put(&placed(scene, &service, family, pods).build());
        scene.put(&web(&service, [family.cluster_ip(10)]).internal_local().build());
        slice(&[(1, "a"), (2, "b"), (3, "a")]);
        scene.expect(to, &["p1", "p3"]);
        slice(&[(1, "b"), (2, "b")]);
        scene.expect(to, UNREACHABLE);
        let outcome = scene.from_pod.dial(&Dial::new(Transport::UdpUnconnected, to)).unwrap_err();
        assert_eq!(outcome.step, Step::Send);
        slice(&[]);
        scene.expect(to, REFUSED);
        slice(&[(1, "b")]);
        scene.expect(to, UNREACHABLE);
        scene.put(&web(&service, [family.cluster_ip(10)]).build());
        scene.expect(to, &["p1"]);
    });
}

#[test]
fn s16_an_endpoint_without_node_is_never_local() {
    from_both_over_both("s16-none", |scene, family| {
        let service = family.name("web");
        let slice = web_slice(&service, family).endpoint(&family.of(scene.pod(1)).to_string());
        scene.put(&slice.build());
        scene.put(&web(&service, [family.cluster_ip(10)]).build());
        scene.expect(family.frontend(10), &["p1"]);
        scene.put(&web(&service, [family.cluster_ip(10)]).internal_local().build());
        scene.expect(family.frontend(10), UNREACHABLE);
    });
}

#[test]
fn s16_established_connections_outlive_their_backends() {
    from_both_over_both("s16-est", |scene, family| {
        let (service, to) = (family.name("web"), family.frontend(10));
        scene.put(&web(&service, [family.cluster_ip(10)]).build());
        scene.put(&placed(scene, &service, family, &[(1, "a")]).build());
        scene.expect(to, &["p1"]);
        let connection = scene.from_pod.connect_tcp(to).unwrap();
        scene.put(&web_slice(&service, family).build());
        scene.expect(to, REFUSED);
        assert_eq!(connection.ask("still there?").unwrap().backend(), "p1");
        scene.delete("Service", &service);
        scene.expect(to, UNREACHABLE);
        assert_eq!(connection.ask("and now?").unwrap().backend(), "p1");
        assert_eq!(connection.names().unwrap().peer, Some(to), "the peer stays the frontend");
    });
}

/// A Service with every kind of external frontend.
fn external(family: Family) -> ServiceBuilder {
    let service = web_node_port(&family.name("web"), [family.cluster_ip(10)], node_port(family));
    let service = service.kind("LoadBalancer").external_ip(&family.external_ip(1).to_string());
    service.load_balancer_ip(&family.external_ip(2).to_string())
}

fn node_port(family: Family) -> u16 {
    30080 + u16::from(family.number())
}

/// The addresses at which it is dialled from outside.
fn external_frontends(scene: &Scene, family: Family) -> [SocketAddr; 3] {
    [
        (family.of(&scene.node), node_port(family)).into(),
        (family.external_ip(1), 80).into(),
        (family.external_ip(2), 80).into(),
    ]
}

#[test]
fn s17_local_clients_of_external_local_get_the_cluster_list() {
    from_both_over_both("s17", |scene, family| {
        let service = family.name("web");
        scene.put(&external(family).external_local().build());
        for (pods, wanted) in [(&[(1, "a"), (2, "b")][..], &["p1", "p2"][..]), (&[(2, "b")], &["p2"]), (&[], REFUSED)] {
            scene.put(&placed(scene, &service, family, pods).build());
            for to in external_frontends(scene, family) {
                scene.expect(to, wanted);
                harness::scene::hold(&scene.from_node, to, wanted);
            }
        }
    });
}

#[test]
fn s14_each_policy_governs_its_own_frontends() {
    from_both_over_both("s14", |scene, family| {
        scene.put(&placed(scene, &family.name("web"), family, &[(2, "b")]).build());
        scene.put(&external(family).build());
        scene.expect(family.frontend(10), &["p2"]);
        scene.put(&external(family).internal_local().build());
        scene.expect(family.frontend(10), UNREACHABLE);
        for to in external_frontends(scene, family) {
            scene.expect(to, &["p2"]);
        }
        scene.put(&external(family).external_local().build());
        scene.expect(family.frontend(10), &["p2"]);
        for to in external_frontends(scene, family) {
            scene.hold(to, &["p2"]);
        }
    });
}
