//! A socket's translation: which backend is chosen, which peer the client sees, which client the backend sees (S23,
//! S26, S27).

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use harness::{
    lab::{Dial, Transport},
    scene::{
        BOUND_PORT, Family, Origin, Scene, Setup, TRANSPORTS, expect, from_both, from_both_over_both, over_both, web,
        web_slice,
    },
};

/// Puts a Service with the scene's first backends, in both families, and waits until it is in force.
fn serve(scene: &Scene, backends: usize) {
    scene.put(&web("web", Family::BOTH.map(|family| family.cluster_ip(10))).build());
    let names: Vec<_> = (1..=backends).map(|number| format!("p{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    over_both(|family| {
        let slice = web_slice("web", family).name(&family.name("web"));
        scene.put(&(1..=backends).fold(slice, |slice, number| slice.pod(scene.pod(number))).build());
        scene.expect(family.frontend(10), &names);
    });
}

/// How many conversations each backend got.
fn shares(scene: &Scene, transport: Transport, to: SocketAddr, count: usize) -> BTreeMap<String, u32> {
    let outcomes = scene.from_pod.dial_all(&Dial::new(transport, to).count(count));
    outcomes.into_iter().fold(BTreeMap::new(), |mut counts, outcome| {
        *counts.entry(outcome.unwrap().backend().to_owned()).or_default() += 1;
        counts
    })
}

/// Uniform means: each of the four counts is binomial, n = 4000 and p = 1/4, so 1000 with σ = √(n·p·(1-p)) = 27.4, and
/// should be within 3σ of that. All four are so in 99 of 100 runs. A run outside is repeated, twice at most; so chance
/// alone fails the test once in a million times. Pearson's statistic Σ(count - 1000)²/1000 is χ² with 3 degrees of
/// freedom and exceeds 30.66 with a probability of 1 in a million: such a run is not repeated. A slot that is drawn
/// 1.25 times as often as the others has 41.
#[test]
fn s23_new_flows_are_spread_uniformly() {
    const FLOWS: u32 = 4000;
    const BACKENDS: u32 = 4;
    const ROUNDS: usize = 3;
    const LIMIT: f64 = 30.66;
    let share = f64::from(FLOWS / BACKENDS);
    let sigma = (f64::from(FLOWS) * 0.25 * 0.75).sqrt();
    let is_within = |scene: &Scene, transport, to| {
        let counts = shares(scene, transport, to, FLOWS as usize);
        assert_eq!(counts.len(), BACKENDS as usize, "{counts:?}");
        let strays: Vec<f64> = counts.values().map(|count| f64::from(*count) - share).collect();
        let statistic: f64 = strays.iter().map(|stray| stray * stray / share).sum();
        println!("{transport:?}: {counts:?}, χ² = {statistic:.1}");
        assert!(statistic < LIMIT, "{transport:?}: {counts:?} has χ² = {statistic:.1}");
        strays.iter().all(|stray| stray.abs() <= 3.0 * sigma)
    };
    from_both(Setup::new("s23").backends(BACKENDS as usize), |scene| {
        serve(scene, BACKENDS as usize);
        // The source of objects makes no difference here, so each source takes one transport and family.
        let (transport, family) = match scene.objects.origin() {
            Origin::Folder => (Transport::Tcp, Family::Ipv4),
            Origin::Api => (Transport::UdpUnconnected, Family::Ipv6),
        };
        assert!((0..ROUNDS).any(|_| is_within(scene, transport, family.frontend(10))), "{transport:?}: beyond 3σ");
    });
}

#[test]
fn s26_backends_see_the_pods_own_address() {
    from_both("s26", |scene| {
        serve(scene, 1);
        over_both(|family| {
            for transport in TRANSPORTS {
                let seen = scene.from_pod.dial(&Dial::new(transport, family.frontend(10))).unwrap().seen_client();
                assert_eq!(seen.map(|client| client.ip()), Some(family.of(&scene.client)), "{transport:?}");
                let seen = scene.from_node.dial(&Dial::new(transport, family.frontend(10))).unwrap().seen_client();
                assert_eq!(seen.map(|client| client.ip()), Some(family.of(&scene.node)), "{transport:?} from the node");
                let from = SocketAddr::new(family.of(&scene.client), BOUND_PORT);
                let bound = scene.from_pod.dial(&Dial::new(transport, family.frontend(10)).bind(from)).unwrap();
                assert_eq!(bound.seen_client(), Some(from), "{transport:?} from a bound socket");
            }
        });
    });
}

#[test]
fn s27_a_pod_reaches_itself_through_its_own_service() {
    from_both("s27", |scene| {
        serve(scene, 1);
        let itself = scene.pod(1).client().unwrap();
        over_both(|family| {
            expect(&itself, family.frontend(10), &["p1"]);
            let seen = itself.tcp(family.frontend(10)).unwrap().seen_client();
            assert_eq!(seen.map(|client| client.ip()), Some(family.of(scene.pod(1))));
        });
    });
}

#[test]
fn s27_a_backend_may_be_its_own_client_among_others() {
    from_both_over_both("s27-all", |scene, family| {
        let name = family.name("web");
        scene.put(&web(&name, [family.cluster_ip(20)]).build());
        scene.put(&web_slice(&name, family).pod(scene.pod(1)).pod(scene.pod(2)).build());
        let itself = scene.pod(1).client().unwrap();
        expect(&itself, family.frontend(20), &["p1", "p2"]);
    });
}

#[test]
fn s11_ipv4_mapped_addresses_on_ipv6_sockets_are_ipv4() {
    from_both("mapped", |scene| {
        serve(scene, 2);
        let mapped = |to: SocketAddr| match to.ip() {
            IpAddr::V4(address) => SocketAddr::new(address.to_ipv6_mapped().into(), to.port()),
            IpAddr::V6(_) => to,
        };
        // `expect` also checks that the peer has the form in which it was dialled.
        scene.expect(mapped(Family::Ipv4.frontend(10)), &["p1", "p2"]);
        scene.hold(mapped(SocketAddr::new(Family::Ipv4.cluster_ip(10), 81)), &["ECONNREFUSED"]);
        scene.hold(mapped(Family::Ipv4.frontend(99)), &["EHOSTUNREACH"]);
        let seen = scene.from_pod.tcp(mapped(Family::Ipv4.frontend(10))).unwrap().seen_client();
        assert_eq!(seen.map(|client| client.ip()), Some(scene.client.v4().into()), "an IPv4 packet arrives");
    });
}

#[test]
fn s26_the_peer_is_the_frontend_for_the_sockets_whole_life() {
    from_both("peer", |scene| {
        serve(scene, 1);
        over_both(|family| {
            let to = family.frontend(10);
            let (tcp, udp) = (scene.from_pod.connect_tcp(to).unwrap(), scene.from_pod.connect_udp(to).unwrap());
            for socket in [&tcp, &udp] {
                assert_eq!(socket.names().unwrap().peer, Some(to));
                assert_eq!(socket.ask("hello").unwrap().backend(), "p1");
                assert_eq!(socket.names().unwrap().peer, Some(to));
            }
            // A socket that is connected again, to an address of no Service, shows that address.
            let direct = SocketAddr::new(family.of(scene.pod(1)), 8080);
            udp.connect(direct).unwrap();
            assert_eq!(udp.names().unwrap().peer, Some(direct));
            udp.connect(to).unwrap();
            assert_eq!(udp.names().unwrap().peer, Some(to));
        });
    });
}
