//! Services and addresses that are added and removed, and maps that are full for a while.

use std::fs;

use harness::{
    lab::{LogLine, Netns},
    scene::{Setup, WAIT_LIMIT, dual, until},
};

use super::{PORT, ask, asked_at, balanced, expect, nodes, put};

/// Sockets of the node that listen at `port`, of both families.
fn listeners(node: &Netns, port: u16) -> usize {
    let listens = |line: &&str| {
        // The local address is the second column, the state the fourth.
        let columns: Vec<_> = line.split_whitespace().collect();
        columns[1].ends_with(&format!(":{port:04X}")) && columns[3] == "0A"
    };
    let count = |table: &str| {
        let text = fs::read_to_string(format!("/proc/thread-self/net/{table}")).expect("read the table of sockets");
        text.lines().skip(1).filter(listens).count()
    };
    node.inside(|| count("tcp") + count("tcp6")).expect("enter the node")
}

#[test]
fn n03_what_the_data_plane_refuses_is_unhealthy_with_the_true_count() {
    let scene = Setup::new("health-full").build();
    let [a, b] = scene.add_pods(["a1", "b1"]);
    let client = scene.lab.client("lb").unwrap();
    // Another Service takes two of the three backend ids; id 0 names no backend.
    scene.put(&dual("first", 9).port(80, 8080).build());
    put(&scene, "first", &[&b], |slice| slice);
    let waggle = scene.agent(&["--max-backends", "4"]);
    scene.put(&asked_at(balanced("web", 10), PORT));
    put(&scene, "web", &[&a], |slice| slice);
    let is_error = |line: &LogLine| line.text.contains("--max-backends");
    waggle.log().wait(0, WAIT_LIMIT, is_error).unwrap();
    let says = |code: u16, healthy: bool| {
        ask(client.netns(), nodes(&scene, PORT)[0]).is_ok_and(|(status, weight, body)| {
            (status, weight.as_str()) == (code, "1") && body["serviceProxyHealthy"] == healthy
        })
    };
    until("503 with the true count", || says(503, false));
    scene.remove("first");
    until("200 once there is room", || says(200, true));
}

#[test]
fn n03_before_all_is_in_force_a_node_says_503_with_the_true_count() {
    let scene = Setup::new("hz-first").build();
    let [a, b] = scene.add_pods(["a1", "b1"]);
    scene.put(&asked_at(balanced("web", 10), PORT));
    put(&scene, "web", &[&a, &b], |slice| slice);
    // Once with nothing in force at all, once with what an agent before has left.
    for _ in 0..2 {
        let mut waggle = scene.command(&["--device-mode", "auto"]).start_unready().unwrap();
        let mut first = None;
        until("200", || {
            let answer = ask(scene.node.netns(), nodes(&scene, PORT)[0]).ok();
            first = first.take().or_else(|| answer.clone());
            answer.is_some_and(|(code, ..)| code == 200)
        });
        let (code, weight, body) = first.unwrap();
        assert_eq!((code, weight.as_str()), (503, "2"), "the verifier takes longer than the lists");
        assert_eq!((&body["localEndpoints"], &body["serviceProxyHealthy"]), (&2.into(), &false.into()));
        let is_serving = |line: &LogLine| line.message() == "serving";
        waggle.log().wait(0, WAIT_LIMIT, is_serving).unwrap();
        waggle.kill().unwrap();
        // Dropping it would remove the pins.
        std::mem::forget(waggle);
    }
    let _cleaned = scene.agent(&[]);
}

#[test]
fn n05_addresses_and_policies_that_come_and_go_leave_one_listener() {
    let scene = Setup::new("health-leak").build();
    let [a] = scene.add_pods(["a1"]);
    let client = scene.lab.client("lb").unwrap();
    let asking = || asked_at(balanced("web", 10), PORT);
    scene.put(&asking());
    put(&scene, "web", &[&a], |slice| slice);
    let waggle = scene.agent(&[]);
    let node = scene.node.netns();
    expect(&scene, client.netns(), 1);
    for _ in 0..20 {
        node.batch(&["addr add 192.0.2.77/32 dev lo".to_owned()]).unwrap();
        until("the new address answers", || ask(node, ([192, 0, 2, 77], PORT).into()).is_ok());
        node.batch(&["addr del 192.0.2.77/32 dev lo".to_owned()]).unwrap();
    }
    assert_eq!(listeners(node, PORT), 1);
    let others = [dual("web", 10).kind("LoadBalancer"), dual("web", 10).kind("NodePort").external_local()];
    for other in others.iter().cycle().take(20) {
        scene.put(&other.clone().port(80, 8080).build());
        until("no listener", || listeners(node, PORT) == 0);
        scene.put(&asking());
        until("one listens", || listeners(node, PORT) == 1);
    }
    expect(&scene, client.netns(), 1);
    let warned = waggle.log().since(0).into_iter().filter(|line| line.message().contains("healthCheckNodePort"));
    assert_eq!(warned.count(), 0);
}

#[test]
fn n05_a_port_is_listened_at_as_long_as_it_is_asked_for() {
    let scene = Setup::new("health-port").build();
    let [a] = scene.add_pods(["a1"]);
    let client = scene.lab.client("lb").unwrap();
    put(&scene, "web", &[&a], |slice| slice);
    let waggle = scene.agent(&[]);
    let is_refused = |port| nodes(&scene, port).into_iter().all(|to| ask(client.netns(), to).is_err());
    for _ in 0..5 {
        scene.put(&asked_at(balanced("web", 10), PORT));
        expect(&scene, client.netns(), 1);
        scene.put(&dual("web", 10).kind("LoadBalancer").port(80, 8080).build());
        until("no listener", || is_refused(PORT));
    }
    scene.put(&asked_at(balanced("web", 10), PORT));
    expect(&scene, client.netns(), 1);
    scene.put(&asked_at(balanced("web", 10), PORT + 1));
    until("the port has moved", || is_refused(PORT) && !is_refused(PORT + 1));
    scene.remove("web");
    until("the Service has gone", || is_refused(PORT + 1));
    let warned = waggle.log().since(0).into_iter().filter(|line| line.message().contains("healthCheckNodePort"));
    assert_eq!(warned.count(), 0);
}
