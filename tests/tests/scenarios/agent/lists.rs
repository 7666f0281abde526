//! The data plane while the API server is away (S30).

use std::{net::SocketAddr, time::Duration};

use harness::{
    lab::{Dial, Transport, eventually},
    scene::{Family, Origin, Scene, Setup, WAIT_LIMIT, over_both, web, web_slice},
};
use serde_json::Value;

/// How long to watch that something does not happen; without the check it would happen in a tenth of that time.
const NEVER: Duration = Duration::from_millis(400);

/// One backend, and an API server with a Service, but no agent yet.
fn scene(name: &str) -> Scene {
    let scene = Setup::new(name).origin(Origin::Api).backends(1).object(service()).build();
    serve_by(&scene, 1);
    scene
}

fn service() -> Value {
    web("web", Family::BOTH.map(|family| family.cluster_ip(10))).build()
}

/// Makes this the Service's backend.
fn serve_by(scene: &Scene, pod: usize) {
    over_both(|family| scene.put(&web_slice("web", family).name(&family.name("web")).pod(scene.pod(pod)).build()));
}

/// Whether the data plane does not know the Service: the dialled address is not translated, and no host has it.
fn is_unserved(scene: &Scene) -> bool {
    Family::BOTH.into_iter().all(|family| {
        let dial = Dial::new(Transport::Tcp, family.frontend(10)).timeout(Duration::from_millis(50));
        scene.from_pod.dial(&dial).is_err_and(|failure| failure.errno == "ETIMEDOUT")
    })
}

#[test]
fn s30_nothing_is_programmed_before_every_kind_has_been_listed() {
    let kinds = ["services", "endpointslices", "nodes", "servicecidrs"];
    for held in kinds {
        println!("{held}");
        let scene = scene("s30-first");
        scene.api().hold(held, true);
        let waggle = scene.command(&[]).start_unready().unwrap();
        let others = |plural: &&str| *plural != held;
        let listed = scene.api().wait_for(WAIT_LIMIT, |requests| {
            let is_answered = |plural| requests.iter().any(|request| request.is_for(plural) && request.code == 200);
            kinds.into_iter().filter(others).all(is_answered)
                && requests.iter().any(|request| request.is_for(held) && request.code == 0)
        });
        assert!(listed, "{:#?}", scene.api().requests());
        assert!(!eventually(NEVER, || !is_unserved(&scene)), "served without {held}");
        scene.api().hold(held, false);
        waggle.wait_programmed(0).unwrap();
        over_both(|family| scene.expect(family.frontend(10), &["p1"]));
    }
}

#[test]
fn s30_an_agent_without_api_server_waits_for_it() {
    let scene = scene("s30-start");
    scene.api().stop().unwrap();
    let waggle = scene.command(&[]).start_unready().unwrap();
    // The agent logs this once, and keeps running.
    waggle.wait_log(WAIT_LIMIT, |line| line.text.contains("refused")).unwrap();
    assert!(!eventually(NEVER, || !is_unserved(&scene)));
    scene.api().listen().unwrap();
    waggle.wait_programmed(0).unwrap();
    over_both(|family| scene.expect(family.frontend(10), &["p1"]));
}

#[test]
fn s30_an_api_server_that_is_away_changes_nothing() {
    let scene = Setup::new("s30-away").origin(Origin::Api).backends(3).object(service()).start();
    serve_by(&scene, 1);
    over_both(|family| scene.expect(family.frontend(10), &["p1"]));
    scene.api().stop().unwrap();
    // Changes during the outage are learned afterwards.
    serve_by(&scene, 2);
    let changed = |family: Family| scene.from_pod.tcp(family.frontend(10)).unwrap().backend() != "p1";
    assert!(!eventually(NEVER, || Family::BOTH.into_iter().any(changed)));
    over_both(|family| scene.hold(family.frontend(10), &["p1"]));
    over_both(|family| scene.hold(SocketAddr::new(family.cluster_ip(10), 81), &["ECONNREFUSED"]));
    scene.api().listen().unwrap();
    over_both(|family| scene.expect(family.frontend(10), &["p2"]));
}

#[test]
fn s30_a_restart_without_api_server_keeps_what_is_served() {
    let scene = scene("s30-again");
    let mut first = scene.agent(&[]);
    over_both(|family| scene.expect(family.frontend(10), &["p1"]));
    first.kill().unwrap();
    scene.api().stop().unwrap();
    let second = scene.command(&[]).start_unready().unwrap();
    second.wait_log(WAIT_LIMIT, |line| line.text.contains("refused")).unwrap();
    over_both(|family| scene.hold(family.frontend(10), &["p1"]));
    scene.api().listen().unwrap();
    second.wait_programmed(0).unwrap();
    over_both(|family| scene.hold(family.frontend(10), &["p1"]));
}
