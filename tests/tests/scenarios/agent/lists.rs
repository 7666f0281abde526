//! What the API server's absence means for the data plane (S30).

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{net::SocketAddr, time::Duration};

use harness::{
    lab::{Client, Dial, Lab, Manner, Node, Server, eventually},
    objects::{ApiCluster, Cluster, lab_node, service_cidr},
    scene::{Family, Objects, Origin, PORTS, SERVICE_CIDRS, Setup, command, expect, hold, over_both, web, web_slice},
};

const PATIENCE: Duration = Duration::from_secs(10);

/// How long to watch that something does not happen; without the check it would happen in a tenth of that time.
const NEVER: Duration = Duration::from_millis(400);

/// A node with one backend and a client, and an API server with everything they need, but no agent yet.
struct Stage {
    from_pod: Client,
    _server: Server,
    objects: Objects,
    node: Node,
    _lab: Lab,
}

impl Stage {
    fn new(name: &str) -> Self {
        let lab = Lab::new(name).unwrap();
        let node = lab.node("a").unwrap();
        let (pod, client) = (node.pod("p1").unwrap(), node.pod("client").unwrap());
        let objects = Objects::new(Origin::Api, node.netns());
        objects.put(&lab_node(&node).build());
        objects.put(&service_cidr("kubernetes", &SERVICE_CIDRS));
        objects.put(&web("web", Family::BOTH.map(|family| family.cluster_ip(10))).build());
        over_both(|family| objects.put(&web_slice("web", family).name(&family.name("web")).pod(&pod).build()));
        let (from_pod, server) = (client.client().unwrap(), pod.serve(&PORTS).unwrap());
        Self { from_pod, _server: server, objects, node, _lab: lab }
    }

    fn api(&self) -> &ApiCluster {
        let Objects::Api(api) = &self.objects else { unreachable!("the stage has an API server") };
        api
    }

    /// Whether the data plane does not know the Service: the dialled address is not translated, and no host has it.
    fn is_unserved(&self) -> bool {
        Family::BOTH.into_iter().all(|family| {
            let dial = Dial::new(Manner::Tcp, family.frontend(10)).timeout(Duration::from_millis(50));
            self.from_pod.dial(&dial).is_err_and(|failure| failure.errno == "ETIMEDOUT")
        })
    }
}

#[test]
fn s30_nothing_is_programmed_before_every_kind_has_been_listed() {
    let kinds = ["services", "endpointslices", "nodes", "servicecidrs"];
    for held in kinds {
        println!("{held}");
        let stage = Stage::new("s30-first");
        stage.api().hold(held, true);
        let waggle = command(&stage.node, &stage.objects).start_unready().unwrap();
        let others = |plural: &&str| *plural != held;
        let listed = stage.api().wait_for(PATIENCE, |requests| {
            let is_answered = |plural| requests.iter().any(|request| request.is_for(plural) && request.code == 200);
            kinds.into_iter().filter(others).all(is_answered)
                && requests.iter().any(|request| request.is_for(held) && request.code == 0)
        });
        assert!(listed, "{:#?}", stage.api().requests());
        assert!(!eventually(NEVER, || !stage.is_unserved()), "served without {held}");
        stage.api().hold(held, false);
        waggle.wait_programmed(0).unwrap();
        over_both(|family| expect(&stage.from_pod, family.frontend(10), &["p1"]));
    }
}

#[test]
fn s30_an_agent_without_api_server_waits_for_it() {
    let stage = Stage::new("s30-start");
    stage.api().stop().unwrap();
    let waggle = command(&stage.node, &stage.objects).start_unready().unwrap();
    // The agent logs this once, and keeps running.
    waggle.wait_log(PATIENCE, |line| line.text.contains("refused")).unwrap();
    assert!(!eventually(NEVER, || !stage.is_unserved()));
    stage.api().listen().unwrap();
    waggle.wait_programmed(0).unwrap();
    over_both(|family| expect(&stage.from_pod, family.frontend(10), &["p1"]));
}

#[test]
fn s30_an_api_server_that_is_away_changes_nothing() {
    let scene = Setup::new("s30-away", Origin::Api).start();
    let Objects::Api(api) = &scene.objects else { unreachable!("it was asked for") };
    let put = |pod: usize| {
        over_both(|family| scene.put(&web_slice("web", family).name(&family.name("web")).pod(scene.pod(pod)).build()));
    };
    scene.put(&web("web", Family::BOTH.map(|family| family.cluster_ip(10))).build());
    put(1);
    over_both(|family| scene.expect(family.frontend(10), &["p1"]));
    api.stop().unwrap();
    // Changes during the outage are learned afterwards.
    put(2);
    let changed = |family: Family| scene.from_pod.tcp(family.frontend(10)).unwrap().backend() != "p1";
    assert!(!eventually(NEVER, || Family::BOTH.into_iter().any(changed)));
    over_both(|family| scene.hold(family.frontend(10), &["p1"]));
    over_both(|family| scene.hold(SocketAddr::new(family.cluster_ip(10), 81), &["ECONNREFUSED"]));
    api.listen().unwrap();
    over_both(|family| scene.expect(family.frontend(10), &["p2"]));
}

#[test]
fn s30_a_restart_without_api_server_keeps_what_is_served() {
    let stage = Stage::new("s30-again");
    let start = || command(&stage.node, &stage.objects);
    let mut first = start().start().unwrap();
    over_both(|family| expect(&stage.from_pod, family.frontend(10), &["p1"]));
    first.kill().unwrap();
    stage.api().stop().unwrap();
    let second = start().start_unready().unwrap();
    second.wait_log(PATIENCE, |line| line.text.contains("refused")).unwrap();
    over_both(|family| hold(&stage.from_pod, family.frontend(10), &["p1"]));
    stage.api().listen().unwrap();
    second.wait_programmed(0).unwrap();
    over_both(|family| hold(&stage.from_pod, family.frontend(10), &["p1"]));
}
