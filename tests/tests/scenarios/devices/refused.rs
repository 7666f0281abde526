//! Programs that the kernel refuses: devices that need them are not served, all others are.

use std::time::Instant;

use harness::refused::RefusedAgent;

use super::*;

/// Starts an agent some of whose programs are refused, after the earlier one was killed, and waits until it serves.
fn start(scene: &Scene, agent: &RefusedAgent, arguments: &[&str]) -> Waggle {
    scene.command(arguments).program(agent.path()).start().unwrap()
}

/// Lines of the log with this text.
fn lines(waggle: &Waggle, text: &str) -> Vec<LogLine> {
    waggle.log().since(0).into_iter().filter(|line| line.message().contains(text)).collect()
}

fn reason(line: &LogLine) -> &str {
    line.field("reason").unwrap().as_str().unwrap()
}

/// Checks how often the agent has tried to load programs that the kernel refuses: once a minute at most.
fn check_refusals(waggle: &Waggle, started: Instant) {
    let count = lines(waggle, "programs refused").len();
    assert!(count > 0 && count as u64 <= 1 + started.elapsed().as_secs() / 60, "{count}");
}

#[test]
fn w01_without_xdp_programs_devices_are_served_by_tc() {
    let (scene, agent) = (Setup::new("dev-noxdp").build(), RefusedAgent::new(&["xdp_refresh"]));
    let bridge = |name: &str, number: u8| {
        let address = format!("address add 198.51.{number}.1/24 dev {name}");
        ip(&scene, &[&format!("link add {name} type bridge"), &address]);
    };
    bridge("br1", 100);
    let started = Instant::now();
    let waggle = start(&scene, &agent, &["--device-mode", "auto"]);
    expect(&scene, &[("br1", "tc"), ("eth0", "tc")]);
    assert_eq!(rows(&scene)["br1"]["fellBack"], json!(true));
    // Neither the change of a device nor a new one makes the agent try again.
    ip(&scene, &["link set br1 mtu 1400"]);
    bridge("br2", 101);
    expect(&scene, &[("br1", "tc"), ("br2", "tc"), ("eth0", "tc")]);
    for device in ["br1", "br2"] {
        let about: Vec<_> = waggle.log().since(0).into_iter().filter(is_about(device)).collect();
        assert_eq!(about.len(), 1, "{about:?}");
        assert!(about[0].message().contains("native XDP is refused"), "{about:?}");
        let reason = reason(&about[0]);
        assert!(reason.starts_with("load program xdp_refresh: Invalid argument") && !reason.contains('\n'), "{reason}");
    }
    check_refusals(&waggle, started);
    assert_eq!(scene.dump("xdp_stages").len(), 0, "all or none");
}

#[test]
fn w01_a_start_that_can_not_serve_as_asked_leaves_what_is_there() {
    let scene = Setup::new("dev-keep").build();
    let arguments = ["--device-mode", "xdp"];
    let mut waggle = scene.agent(&arguments);
    let before = programs(&rows(&scene)["eth0"]);
    waggle.kill().unwrap();
    for program in ["connect6", "tc_open", "xdp_open"] {
        let agent = RefusedAgent::new(&[program]);
        let mut refused = scene.command(&arguments).program(agent.path()).start_unready().unwrap();
        assert!(!refused.process().wait(START).unwrap().success(), "{program}");
        refused.wait_log(START, |line| line.text.contains(&format!("load program {program}: "))).unwrap();
        // Dropping it would remove the pins.
        std::mem::forget(refused);
        assert_eq!(programs(&rows(&scene)["eth0"]), before, "{program}");
    }
}

#[test]
fn w01_xdp_that_was_asked_for_and_is_refused_serves_nothing_instead() {
    for mode in ["xdp", "xdp-generic"] {
        let (scene, agent) = (Setup::new("dev-asked").build(), RefusedAgent::new(&["xdp"]));
        let started = Instant::now();
        let waggle = start(&scene, &agent, &["--devices", "late,other", "--device-mode", mode]);
        for (device, number) in [("late", 100), ("other", 101)] {
            let add = format!("link add {device} type veth peer name {device}-1");
            ip(&scene, &[&add, &format!("address add 198.51.{number}.1/24 dev {device}")]);
            let line = waggle.wait_log(START, |line| is_about(device)(line) && line.message().contains("not served"));
            let line = line.unwrap();
            assert_eq!(line.field("level"), Some(&json!("ERROR")));
            assert!(reason(&line).starts_with("load program xdp: Invalid argument"), "{line:?}");
        }
        assert_eq!(rows(&scene), Rows::new());
        assert_eq!(lines(&waggle, "device not served").len(), 2, "once each");
        check_refusals(&waggle, started);
    }
}

#[test]
fn w01_without_programs_for_bare_devices_others_are_served() {
    let scene = Setup::new("dev-nobare").build();
    ip(&scene, &["tuntap add dev tun1 mode tun", "address add 198.51.100.1/24 dev tun1", "link set tun1 up"]);
    let mut waggle = scene.agent(&["--device-mode", "auto"]);
    expect(&scene, &[("eth0", "tc"), ("tun1", "tc")]);
    let before = programs(&rows(&scene)["eth0"]);
    waggle.kill().unwrap();
    let agent = RefusedAgent::new(&["tc_egress_bare"]);
    let started = Instant::now();
    let refused = start(&scene, &agent, &["--device-mode", "auto"]);
    expect(&scene, &[("eth0", "tc")]);
    let after = programs(&rows(&scene)["eth0"]);
    for (hook, (program, link)) in &after {
        assert_ne!(*program, before[hook].0, "{hook} has the new program");
        assert_eq!(*link, before[hook].1, "{hook} was never without one");
    }
    let about: Vec<_> = refused.log().since(0).into_iter().filter(is_about("tun1")).collect();
    let failed: Vec<_> = about.iter().filter(|line| line.message().contains("not served")).collect();
    assert_eq!(failed.len(), 1, "{about:?}");
    assert!(reason(failed[0]).starts_with("load program tc_egress_bare: Invalid argument"), "{failed:?}");
    // Devices that are added later are served.
    ip(&scene, &["link add late type veth peer name etal", "address add 198.51.101.1/24 dev late"]);
    expect(&scene, &[("eth0", "tc"), ("late", "tc")]);
    check_refusals(&refused, started);
}

#[test]
fn w01_without_programs_for_the_nodes_own_sctp_all_else_is_served() {
    let agent = RefusedAgent::new(&["tc_own_reply"]);
    for is_early in [true, false] {
        let scene = Setup::new("dev-noown").build();
        let sctp = service("web").cluster_ip("10.96.0.1").named_port("sctp", "SCTP", 80, 9999).build();
        if is_early {
            scene.put(&sctp);
        }
        let started = Instant::now();
        let waggle = start(&scene, &agent, &["--device-mode", "auto"]);
        let stages = scene.dump("tc_stages").len();
        scene.put(&sctp);
        let line = waggle.wait_log(START, |line| line.message().starts_with("degraded: SCTP")).unwrap();
        assert!(reason(&line).starts_with("load program tc_own_reply: Invalid argument"), "{line:?}");
        // The next agent continues: it serves pods and devices that are added later, and logs nothing twice.
        let _pod = scene.node.pod("p1").unwrap();
        expect(&scene, &[("eth0", "tc"), ("pod-p1", "tc")]);
        ip(&scene, &["link add late type veth peer name etal", "address add 198.51.101.1/24 dev late"]);
        expect(&scene, &[("eth0", "tc"), ("late", "tc"), ("pod-p1", "tc")]);
        assert_eq!(lines(&waggle, "degraded").len(), 1);
        check_refusals(&waggle, started);
        assert_eq!(lines(&waggle, "devices may go unserved").len(), 0);
        assert_eq!(scene.dump("tc_stages").len(), stages, "all or none");
    }
}

#[test]
fn s31_devices_that_had_xdp_are_served_by_tc_when_it_is_refused() {
    let (scene, agent) = (Setup::new("dev-hadxdp").build(), RefusedAgent::new(&["xdp_send"]));
    let mut waggle = scene.agent(&["--device-mode", "xdp"]);
    let before = programs(&rows(&scene)["eth0"]);
    waggle.kill().unwrap();
    let _refused = start(&scene, &agent, &["--device-mode", "auto"]);
    expect(&scene, &[("eth0", "tc")]);
    let after = programs(&rows(&scene)["eth0"]);
    assert_eq!(after.keys().collect::<Vec<_>>(), ["tcx_egress", "tcx_ingress"]);
    for (hook, (program, link)) in &after {
        assert_ne!(*program, before[hook].0, "{hook} has the new program");
        assert_eq!(*link, before[hook].1, "{hook} was never without one");
    }
    assert_eq!(attached(&scene)["xdp"], json!([]));
}
