//! The agent's life cycle (S31), with real agents and sockets.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use harness::{
    lab::{Dial, Kind, TIMEOUT, Transport, Waggle, find_program},
    objects::SliceBuilder,
    scene::{SERVICE_CIDRS, Scene, Setup, WAIT_LIMIT, cluster_ips, dual, until},
};

/// Ports with session affinity. With both families there are 16 choices among four backends, which are hardly ever
/// equal by chance.
const AFFINITY_PORTS: u16 = 8;

/// Sets an element of an instance's map to version 99; the key is padded to its length.
fn set_version(waggle: &Waggle, map: &str, key: &[u8]) {
    let pin = waggle.pins().join(map);
    let length = if map == "abi" { 4 } else { 24 };
    let key: Vec<String> = (0..length).map(|index| key.get(index).copied().unwrap_or(0).to_string()).collect();
    let mut bpftool = Command::new("bpftool");
    bpftool.args(["map", "update", "pinned", pin.to_str().unwrap(), "key"]).args(key);
    assert!(bpftool.args(["value", "99", "0", "0", "0"]).status().unwrap().success());
}

fn both(slice: SliceBuilder) -> SliceBuilder {
    slice.named_port("tcp", "TCP", 8080).named_port("udp", "UDP", 8080)
}

/// Four backends, a Service `web` with a TCP and a UDP port, and a Service `sticky` of [`AFFINITY_PORTS`] ports with
/// session affinity.
fn scene(name: &str) -> Scene {
    let scene = Setup::new(name).backends(4).build();
    let web = dual("web", 10).named_port("tcp", "TCP", 80, 8080).named_port("udp", "UDP", 53, 8080);
    scene.put(&web.build());
    let all: Vec<_> = scene.pods.iter().collect();
    scene.endpoints("web", both, &all);
    let named = |port: u16| format!("p{port}");
    let sticky =
        (0..AFFINITY_PORTS).fold(dual("sticky", 11), |it, port| it.named_port(&named(port), "TCP", 80 + port, 8080));
    scene.put(&sticky.client_ip_affinity(None).build());
    let ports =
        |slice| (0..AFFINITY_PORTS).fold(slice, |it: SliceBuilder, port| it.named_port(&named(port), "TCP", 8080));
    scene.endpoints("sticky", ports, &all);
    scene
}

fn is_served(scene: &Scene) -> bool {
    let tcp = cluster_ips(10, 80).into_iter().all(|to| scene.from_pod.tcp(to).is_ok());
    tcp && cluster_ips(10, 53).into_iter().all(|to| scene.from_pod.udp(to).is_ok())
}

/// The backends that answer on the ports with affinity.
fn choices(scene: &Scene) -> Vec<String> {
    let frontends = (0..AFFINITY_PORTS).flat_map(|port| cluster_ips(11, 80 + port));
    frontends.map(|to| scene.from_pod.tcp(to).unwrap().backend().to_owned()).collect()
}

/// Service ids by names, and backend ids by address.
fn ids(scene: &Scene) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
    let names = scene.dump("service_names").into_iter();
    let services = names.map(|entry| {
        let entry = &entry["formatted"];
        (entry["value"].to_string(), entry["key"].as_u64().unwrap())
    });
    let rows = scene.get("backends");
    let backends = rows.as_array().unwrap().iter();
    let backends = backends.map(|row| (row["address"].to_string(), row["id"].as_u64().unwrap()));
    (services.collect(), backends.collect())
}

#[test]
fn s31_a_second_agent_on_the_instance_is_refused() {
    let scene = scene("second");
    let _waggle = scene.agent(&[]);
    let mut second = scene.command(&[]).start_unready().unwrap();
    assert!(!second.process().wait(WAIT_LIMIT).unwrap().success());
    let refusal = format!("another waggle runs instance \"{}\"", scene.node.instance());
    let plain = |text: &str| text.replace('\\', "");
    second.wait_log(WAIT_LIMIT, |line| plain(&line.text).contains(&refusal)).unwrap();
    // Dropping it would remove the first agent's pins.
    assert!(is_served(&scene));
    std::mem::forget(second);
}

#[test]
fn s31_a_killed_agent_leaves_a_data_plane_and_a_restarted_one_keeps_it() {
    let scene = scene("killed");
    let mut waggle = scene.agent(&[]);
    let chosen = choices(&scene);
    let kinds = [(Kind::Udp4, 0), (Kind::Udp6, 1)];
    let flows: Vec<_> =
        (0..8).flat_map(|_| kinds.map(|(kind, family)| (scene.from_pod.open(kind, None).unwrap(), family))).collect();
    let ask_all = || -> Vec<_> {
        let ask = |(socket, family): &(harness::lab::Socket<'_>, usize)| {
            socket.send_to(cluster_ips(10, 53)[*family], "question").unwrap();
            socket.receive(TIMEOUT).unwrap().backend().to_owned()
        };
        flows.iter().map(ask).collect()
    };
    let answers = ask_all();
    let known = ids(&scene);
    assert!(known.0.len() == 20 && known.1.len() == 8, "{known:?}");
    waggle.kill().unwrap();
    assert!(is_served(&scene), "without the agent");
    assert_eq!(choices(&scene), chosen, "without the agent");
    assert_eq!(ask_all(), answers, "without the agent");
    for _ in 0..2 {
        waggle.restart().unwrap();
        assert_eq!(ids(&scene), known, "ids survive");
        assert_eq!(choices(&scene), chosen, "affinity survives");
        assert_eq!(ask_all(), answers, "flows survive");
        assert!(is_served(&scene));
        assert_eq!(waggle.stop().unwrap().code(), Some(0));
        assert!(is_served(&scene), "a stopped agent leaves it too");
    }
}

#[test]
fn s31_what_changed_meanwhile_is_applied_and_leftovers_go() {
    let scene = scene("meanwhile");
    let mut waggle = scene.agent(&[]);
    let (p1, p2) = (scene.pod(1), scene.pod(2));
    scene.endpoints("web", both, &[p1]);
    scene.put(&dual("shares", 12).named_port("udp", "UDP", 53, 8080).build());
    scene.endpoints("shares", both, &[p1]);
    until("one backend", || {
        (0..10).all(|_| scene.from_pod.tcp(cluster_ips(10, 80)[1]).is_ok_and(|it| it.backend() == "p1"))
    });
    until("shares", || cluster_ips(12, 53).iter().all(|to| scene.from_pod.udp(to).is_ok()));
    let connected = cluster_ips(10, 53).map(|to| scene.from_pod.connect_udp(to).unwrap());
    let sharing = cluster_ips(12, 53).map(|to| scene.from_pod.connect_udp(to).unwrap());
    waggle.kill().unwrap();
    scene.remove("sticky");
    scene.endpoints("web", both, &[p2]);
    scene.put(&dual("new", 13).named_port("tcp", "TCP", 80, 8080).build());
    scene.endpoints("new", both, &[p2]);
    waggle.restart().unwrap();
    for (web, new) in cluster_ips(10, 80).into_iter().zip(cluster_ips(13, 80)) {
        assert_eq!(scene.from_pod.tally(web, 20), BTreeMap::from([("p2".to_owned(), 20)]));
        assert_eq!(scene.from_pod.tcp(new).unwrap().backend(), "p2");
    }
    for to in cluster_ips(11, 80) {
        assert_eq!(scene.from_pod.tcp(to).unwrap_err().errno, "EHOSTUNREACH", "the removed Service");
    }
    // web has two ports, shares and new have one each, and each port exists in both families.
    assert_eq!(ids(&scene).0.len(), 8);
    let members = scene.dump("members");
    assert_eq!(members.len(), 4, "web's UDP port and shares: {members:?}");
    for socket in &connected {
        until("a socket whose backend left meanwhile is aborted", || {
            socket.receive(Duration::from_millis(200)).is_err_and(|failure| failure.errno == "ECONNABORTED")
        });
    }
    for socket in &sharing {
        assert_eq!(socket.ask("still mine").unwrap().backend(), "p1");
    }
}

#[test]
fn s31_maps_of_another_size_or_layout_are_rebuilt() {
    let scene = scene("rebuilt");
    let mut first = scene.agent(&[]);
    first.kill().unwrap();
    let mut second = scene.agent(&["--max-services", "100", "--max-slots", "2000", "--max-backends", "300"]);
    let rebuilt = |line: &harness::lab::LogLine| line.text.contains("rebuilding");
    second.wait_log(WAIT_LIMIT, rebuilt).unwrap();
    assert!(is_served(&scene));
    second.kill().unwrap();

    set_version(&first, "abi", &[0; 4]);
    let (success, text) = scene.cli(&["get", "services"]);
    assert!(!success && text.contains("layout version 99"), "{text}");
    set_version(&first, "layouts", b"SERVICE_NAMES");
    assert!(is_served(&scene), "the data plane does not care");
    let mark = second.log().mark();
    second.restart().unwrap();
    second.log().wait(mark, WAIT_LIMIT, rebuilt).unwrap();
    assert!(is_served(&scene));
    assert_eq!(scene.get("services").as_array().unwrap().len(), 20);
}

#[test]
fn s31_only_cleanup_removes_the_data_plane() {
    let scene = scene("cleanup");
    let mut waggle = scene.agent(&[]);
    let (success, text) = scene.cli(&["cleanup"]);
    assert!(!success && text.contains("its agent is running"), "{text}");
    assert!(is_served(&scene));
    waggle.stop().unwrap();
    assert!(is_served(&scene));
    let (success, text) = scene.cli(&["cleanup"]);
    assert!(success && text.starts_with("removed 9 hooks (connect4, ") && text.contains(" services, "), "{text}");
    assert!(!waggle.pins().exists());
    for to in cluster_ips(10, 80) {
        // The kernel detaches the programs a moment after the last reference is gone.
        let dial = Dial::new(Transport::Tcp, to).timeout(Duration::from_millis(300));
        until("no program translates", || {
            scene.from_pod.dial(&dial).is_err_and(|failure| failure.errno == "ETIMEDOUT")
        });
    }
    waggle.restart().unwrap();
    assert!(is_served(&scene), "a new beginning");
}

#[test]
fn s31_a_recreated_cgroup_is_served_again() {
    let scene = scene("recreated");
    let cgroup = scene.lab.cgroup().join("recreated");
    let instance = format!("{}-recreated", scene.node.instance());
    let mut processes = Vec::new();
    for round in 0..2 {
        fs::create_dir(&cgroup).unwrap();
        let mut command = Command::new(find_program("waggle", "WAGGLE_BIN").unwrap());
        command.args(["run", "--instance", &instance, "--node-name", "a", "--service-cidr", &SERVICE_CIDRS.join(",")]);
        command.args(["--device-mode", "off"]);
        command.arg("--cgroup").arg(&cgroup).arg("--manifests").arg(scene.folder().path());
        command.arg("--allocations").arg(scene.folder().allocations()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut agent = scene.node.spawn(command).unwrap();
        let client = scene.client.client().unwrap();
        fs::write(cgroup.join("cgroup.procs"), client.id().to_string()).unwrap();
        for to in cluster_ips(10, 80) {
            let dial = Dial::new(Transport::Tcp, to).timeout(Duration::from_millis(200));
            until(&format!("served in round {round}"), || client.dial(&dial).is_ok());
        }
        agent.kill().unwrap();
        processes.push(agent);
        drop(client);
        until("the cgroup is gone", || fs::remove_dir(&cgroup).is_ok());
    }
}

#[test]
fn s31_no_connection_fails_while_the_agent_comes_and_goes() {
    let scene = scene("load");
    let mut waggle = scene.agent(&[]);
    let done = AtomicBool::new(false);
    let load = |transport, to| {
        let client = scene.client.client().unwrap();
        let done = &done;
        move || {
            let mut outcomes = Vec::new();
            while !done.load(Ordering::Relaxed) {
                outcomes.extend(client.dial_all(&Dial::new(transport, to).count(20)));
            }
            outcomes
        }
    };
    thread::scope(|scope| {
        let [v4, v6] = cluster_ips(10, 80);
        let [dns4, dns6] = cluster_ips(10, 53);
        let loads = [
            (Transport::Tcp, v4),
            (Transport::Tcp, v6),
            (Transport::UdpConnected, dns4),
            (Transport::UdpUnconnected, dns6),
        ];
        let threads: Vec<_> = loads.map(|(transport, to)| (to, scope.spawn(load(transport, to)))).into();
        for cycle in 0..5 {
            waggle.kill().unwrap();
            // The third start finds a map whose layout it does not know.
            if cycle == 2 {
                set_version(&waggle, "layouts", b"SERVICE_NAMES");
            }
            waggle.restart().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        for (to, thread) in threads {
            let outcomes = thread.join().unwrap();
            let failed: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
            assert!(failed.is_empty() && outcomes.len() > 100, "{to}: {failed:?} of {}", outcomes.len());
        }
    });
}
