//! Events of calls: of processes in pods and on the node.

use std::net::SocketAddr;

use harness::{
    lab::{Kind, find_program},
    objects::service,
    scene::{Family, PORTS, Scene, Setup, expect, over_both, until, web, web_slice},
};
use serde_json::json;

use super::{Monitor, backend, summary};

/// Serves `default/web` by these backends, and has `default/shop` without any.
pub(super) fn serve(scene: &Scene, family: Family, pods: &[usize]) {
    scene.put(&web("web", [family.cluster_ip(10)]).build());
    let shop = service("shop").cluster_ip(&family.cluster_ip(11).to_string());
    scene.put(&shop.named_port("main", "TCP", 80, 80).named_port("dns", "UDP", 80, 80).build());
    serve_by(scene, family, pods);
    let names: Vec<String> = pods.iter().map(|pod| format!("p{pod}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    expect(&scene.from_pod, family.frontend(10), &names);
    expect(&scene.from_pod, family.frontend(11), &["ECONNREFUSED"]);
}

fn serve_by(scene: &Scene, family: Family, pods: &[usize]) {
    let slice = pods.iter().fold(web_slice("web", family), |slice, pod| slice.pod(scene.pod(*pod)));
    scene.put(&slice.build());
}

fn address(scene: &Scene, family: Family, pod: usize) -> String {
    SocketAddr::new(family.of(scene.pod(pod)), PORTS[0]).to_string()
}

/// Serves `web` over both families at once.
fn serve_both(scene: &Scene) {
    scene.put(&web("web", Family::BOTH.map(|family| family.cluster_ip(10))).build());
    for family in Family::BOTH {
        let slice = web_slice("web", family).name(&family.name("web"));
        scene.put(&slice.pod(scene.pod(1)).build());
        expect(&scene.from_pod, family.frontend(10), &["p1"]);
    }
}

#[test]
fn a_connection_is_new_with_its_backend_and_its_process_and_ends_when_it_is_closed() {
    let mut scene = Setup::new("mon-call").backends(1).start();
    serve_both(&scene);
    for _ in ["with an agent", "without one"] {
        over_both(|family| {
            let monitor = Monitor::start(&scene, "-o json");
            let socket = scene.from_pod.connect_tcp(family.frontend(10)).unwrap();
            let new = monitor.event("new");
            assert_eq!(
                (&new["namespace"], &new["name"], &new["port"], &new["protocol"], &new["hook"]),
                (&json!("default"), &json!("web"), &json!("tcp"), &json!("TCP"), &json!("socket"))
            );
            assert_eq!(new["frontend"], family.frontend(10).to_string());
            assert_eq!(backend(&new), address(&scene, family, 1));
            assert_eq!((&new["process"], &new["command"]), (&json!(scene.from_pod.id()), &json!("labproc")));
            assert_eq!((&new["client"], &new["reason"]), (&json!(null), &json!(null)), "the socket is not bound");
            drop(socket);
            let end = monitor.event("end");
            assert_eq!((&end["name"], backend(&end), &end["process"]), (&new["name"], backend(&new), &new["process"]));
            assert_eq!(monitor.stop(), [json!(null); 0]);
        });
        scene.waggle.kill().unwrap();
    }
}

#[test]
fn refused_calls_have_their_reason_and_their_service_if_there_is_one() {
    let scene = Setup::new("mon-refuse").backends(1).start();
    over_both(|family| {
        serve(&scene, family, &[1]);
        let unserved = SocketAddr::new(family.cluster_ip(10), 81);
        let unowned = SocketAddr::new(family.cluster_ip(99), 80);
        let monitor = Monitor::start(&scene, "-o json --type reject,drop");
        for to in [family.frontend(11), unserved, unowned] {
            scene.from_pod.tcp(to).unwrap_err();
        }
        scene.from_pod.udp(family.frontend(11)).unwrap_err();
        scene.from_pod.udp_unconnected(family.frontend(11)).unwrap_err();
        let events = monitor.stop();
        let expected = [
            "reject shop TCP no_backend",
            "reject - TCP unserved_port",
            "drop - TCP unowned_address",
            "reject shop UDP no_backend",
            "reject shop UDP no_backend",
        ];
        assert_eq!(events.iter().map(summary).collect::<Vec<_>>(), expected);
        assert_eq!((&events[2]["frontend"], backend(&events[2])), (&json!(unowned.to_string()), ""));
    });
}

#[test]
fn s29_a_datagram_socket_whose_backend_goes_leaves_it_and_gets_a_new_one() {
    let scene = Setup::new("mon-moved").backends(2).start();
    over_both(|family| {
        serve(&scene, family, &[1]);
        let kind = if family == Family::Ipv4 { Kind::Udp4 } else { Kind::Udp6 };
        let socket = scene.from_pod.open(kind, None).unwrap();
        let monitor = Monitor::start(&scene, "-o json svc/web --protocol udp");
        let send = || socket.send_to(family.frontend(10), "who").is_ok();
        assert!(send());
        assert_eq!(backend(&monitor.event("new")), address(&scene, family, 1));
        assert!(send(), "the flow has its backend, and is not reported again");
        serve_by(&scene, family, &[2]);
        let mut events = Vec::new();
        until("the datagrams move", || {
            assert!(send());
            events.extend(monitor.lines.try_iter());
            events.len() == 2
        });
        let events: Vec<serde_json::Value> = events.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(events.iter().map(summary).collect::<Vec<_>>(), ["reselect web UDP -", "new web UDP -"]);
        assert_eq!([0, 1].map(|index| backend(&events[index])), [1, 2].map(|pod| address(&scene, family, pod)));
        assert_eq!(monitor.stop(), [json!(null); 0]);
    });
}

#[test]
fn a_table_has_titles_and_a_closed_pipe_ends_quietly() {
    let scene = Setup::new("mon-table").backends(1).start();
    serve(&scene, Family::Ipv4, &[1]);
    let monitor = Monitor::start(&scene, "--count 2 --type new -o wide");
    let titles = monitor.line();
    let [_, _] = [(); 2].map(|()| scene.from_pod.tcp(Family::Ipv4.frontend(10)).unwrap());
    let (code, lines, errors) = monitor.end();
    assert_eq!((code, lines.len(), errors.as_str()), (0, 2, ""), "{lines:?}");
    let process = format!("labproc[{}]", scene.from_pod.id());
    for (title, cell) in [("CLIENT", process.as_str()), ("SERVICE", "default/web:tcp"), ("HOOK", "socket")] {
        let column = titles.find(title).unwrap();
        assert!(lines.iter().all(|line| line[column..].starts_with(cell)), "{titles}\n{lines:?}");
    }
    let program = find_program("waggle", "WAGGLE_BIN").unwrap();
    let command = format!("'{}' monitor --instance {} | head -1", program.display(), scene.node.instance());
    let mut shell = std::process::Command::new("bash");
    let shell = shell.args(["-o", "pipefail", "-c", &command]).stdout(std::process::Stdio::null());
    let mut shell = shell.stderr(std::process::Stdio::null()).spawn().unwrap();
    let mut status = None;
    until("the end of the pipe", || {
        scene.from_pod.tcp(Family::Ipv4.frontend(10)).unwrap();
        status = shell.try_wait().unwrap();
        status.is_some()
    });
    assert!(status.unwrap().success());
}
