//! The agent with the capabilities that the DaemonSet gives it, and with one less.

use std::{fs, process::Command, time::Duration};

use harness::{
    lab::{Capability, Client, LogLine, START, Socket, Waggle, find_program, keep_capabilities},
    scene::{Family, Outside, Scene, Setup, cluster_ips, dual, expect, from_outside_by, until},
};

use super::{CLEANUP, granted, of_the_agent, status, thread_status};

/// Long enough to notice a mistake.
const WHILE: Duration = Duration::from_millis(500);

/// Capabilities without which no agent starts, and those without which it ends no UDP socket of a pod.
const ALWAYS: [Capability; 3] = [Capability::CAP_BPF, Capability::CAP_NET_ADMIN, Capability::CAP_PERFMON];
const TERMINATION: [Capability; 2] = [Capability::CAP_SYS_ADMIN, Capability::CAP_SYS_PTRACE];

/// Makes `backend` the only one of the UDP Service `dns`.
fn serve_dns(scene: &Scene, backend: usize) {
    scene.put(&dual("dns", 10).udp_port(53, 8080).build());
    scene.endpoints("dns", |slice| slice.udp_port(8080), &[scene.pod(backend)]);
    until("the backend serves", || {
        cluster_ips(10, 53)
            .iter()
            .all(|to| scene.from_pod.udp(*to).is_ok_and(|reply| reply.backend() == scene.pod(backend).name()))
    });
}

/// Sockets of a pod that are connected to the Service `dns`.
fn connected(client: &Client) -> [Socket<'_>; 2] {
    cluster_ips(10, 53).map(|to| client.connect_udp(to).unwrap())
}

fn is_aborted(socket: &Socket) -> bool {
    socket.receive(WHILE).is_err_and(|failure| failure.errno == "ECONNABORTED")
}

/// Serves sockets and packets, and ends UDP sockets.
fn works(outside: &Outside) {
    let scene = &outside.scene;
    for family in Family::BOTH {
        outside.serve(family, &outside.web(family), &[scene.pod(1), &outside.remote]);
        for to in outside.frontends(family) {
            expect(&outside.client, to, &["far", "p1"]);
            expect(&scene.from_pod, to, &["far", "p1"]);
        }
        scene.remove("web");
    }
    serve_dns(scene, 1);
    let sockets = connected(&scene.from_pod);
    serve_dns(scene, 2);
    for socket in &sockets {
        until("a socket of the removed backend is aborted", || is_aborted(socket));
    }
}

fn mask(kept: &[Capability]) -> u64 {
    kept.iter().map(Capability::bitmask).fold(0, |all, one| all | one)
}

fn set(waggle: &mut Waggle, name: &str) -> u64 {
    u64::from_str_radix(&status(waggle.process().id(), name), 16).unwrap()
}

#[test]
fn the_agent_needs_no_more_than_the_capabilities_of_the_daemonset() {
    let kept = of_the_agent();
    from_outside_by("auto", Setup::new("least").contained().capabilities(&kept), |outside| {
        // Without the two that only the thread that ends UDP sockets makes effective.
        assert_eq!(set(&mut outside.scene.waggle, "CapPrm"), mask(&kept));
        assert_eq!(set(&mut outside.scene.waggle, "CapEff"), mask(&ALWAYS));
        assert_eq!(status(outside.scene.waggle.process().id(), "NoNewPrivs"), "1");
        works(outside);
        outside.scene.waggle.kill().unwrap();
        let sizes =
            ["--max-conntrack", "150000", "--max-services", "300", "--max-slots", "3000", "--max-affinity", "900"];
        let mut again = outside.scene.agent(&sizes);
        // Those on the device, one for each direction.
        let asks = |line: &LogLine| {
            line.message().starts_with("new programs hand unknown flows") && line.field("programs") == Some(&2.into())
        };
        again.wait_log(START, asks).unwrap();
        assert!(again.log().since(0).iter().all(|line| !line.text.contains("may be cut")));
        works(outside);
        again.stop().unwrap();
        let mut cleanup = Command::new(find_program("waggle", "WAGGLE_BIN").unwrap());
        cleanup.args(["cleanup", "--instance", &outside.scene.node.instance()]);
        keep_capabilities(&mut cleanup, &granted(CLEANUP, "/initContainers/0").into_iter().collect()).unwrap();
        assert!(outside.scene.node.spawn(cleanup).unwrap().wait(START).unwrap().success());
        assert!(!again.pins().exists());
    });
}

#[test]
fn a_missing_capability_is_named_with_what_it_is_for() {
    let scene = Setup::new("lacking").backends(2).contained().build();
    let without = |one: Capability| of_the_agent().into_iter().filter(move |kept| *kept != one);
    for missing in ALWAYS {
        let mut agent = scene.command(&[]).capabilities(without(missing)).start_unready().unwrap();
        assert!(!agent.process().wait(START).unwrap().success(), "an agent starts without {missing}");
        agent.wait_log(START, |line| line.text.contains(&format!("capabilities are missing: {missing} (to "))).unwrap();
    }
    for missing in TERMINATION {
        let agent = scene.command(&[]).capabilities(without(missing)).start().unwrap();
        agent.wait_log(START, |line| line.text.contains(&format!("\"{missing} (to "))).unwrap();
        serve_dns(&scene, 1);
        let sockets = connected(&scene.from_pod);
        serve_dns(&scene, 2);
        for socket in &sockets {
            assert_eq!(socket.receive(WHILE).unwrap_err().errno, "ETIMEDOUT", "{missing} is not needed");
        }
    }
}

#[test]
fn without_udp_termination_two_capabilities_less_are_enough() {
    let setup = Setup::new("fewer").backends(2).contained().args(["--udp-termination=false"]).capabilities(&ALWAYS);
    let mut scene = setup.start();
    assert_eq!(set(&mut scene.waggle, "CapPrm"), mask(&ALWAYS));
    assert!(scene.waggle.log().since(0).iter().all(|line| !line.text.contains("CAP_")));
    serve_dns(&scene, 1);
}

#[test]
fn what_the_agent_never_needs_is_dropped_in_every_thread() {
    let mut scene = Setup::new("dropped").start();
    let useful = [Capability::CAP_DAC_READ_SEARCH, Capability::CAP_NET_BIND_SERVICE];
    let process = scene.waggle.process().id();
    let allowed = [mask(&ALWAYS), mask(&TERMINATION), mask(&useful)].iter().fold(0, |all, some| all | some);
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap().map(|thread| thread.unwrap().path());
    let sets: Vec<u64> = threads
        .map(|thread| thread_status(&thread, "CapPrm"))
        .map(|set| u64::from_str_radix(&set, 16).unwrap())
        .collect();
    assert!(sets.len() > 3 && sets.iter().all(|set| *set == allowed), "{sets:x?}");
}
