//! Captures of real packets. Kernels that refuse tracing programs can't run them.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    process::{Command, Stdio},
};

use harness::{
    lab::find_program,
    objects::service,
    scene::{Family, Outside, WAIT_LIMIT, expect, from_outside_by, until},
};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{
    frames::{Frame, frames},
    running::Capture,
};

/// Returns the only frame that is like this.
#[track_caller]
fn only(frames: &[Frame], is_it: impl Fn(&&Frame) -> bool) -> &Frame {
    let found: Vec<_> = frames.iter().filter(is_it).collect();
    assert_eq!(found.len(), 1, "{frames:#?}");
    found[0]
}

/// Serves `web` by the other node's pod, and by none of this node's.
fn serve_elsewhere(outside: &Outside, family: Family) -> (SocketAddr, SocketAddr) {
    outside.serve(family, &outside.web(family), &[&outside.remote]);
    expect(&outside.client, outside.node_port(family), &["far"]);
    (outside.node_port(family), SocketAddr::new(family.of(&outside.remote), 8080))
}

#[test]
#[ignore = "this kernel may refuse tracing programs: cargo xtask vm runs it"]
fn what_xdp_receives_and_sends_is_in_the_file_with_comments() {
    from_outside_by("xdp", "cap-xdp", |outside| {
        for family in Family::BOTH {
            let (frontend, backend) = serve_elsewhere(outside, family);
            let capture = Capture::start(&outside.scene.node, &["svc/web", "--protocol", "tcp"]);
            let client = outside.client.tcp(frontend).unwrap();
            assert_eq!(client.message.backend(), "far");
            capture.wait("the backend's SYN-ACK", |frame| frame.is_syn && frame.source == frontend);
            let (frames, summary) = capture.end();
            let of = |word: &str, is_it: &dyn Fn(&Frame) -> bool| {
                only(&frames, |frame| frame.is_syn && frame.interface.ends_with(word) && is_it(frame)).clone()
            };
            let received = of(" xdp in", &|frame| frame.destination == frontend);
            let sent = of(" xdp out", &|frame| frame.destination == backend);
            assert_eq!(sent.source.ip(), frontend.ip());
            let wanted = format!("default/web:tcp (NodePort {frontend}) → {backend}: forwarded; sent back out of ");
            for frame in [&received, &sent] {
                assert!(frame.comment.starts_with(&wanted) && frame.comment.contains(", new flow"), "{frame:?}");
            }
            let reply = of(" xdp in", &|frame| frame.source == backend);
            let translated = of(" xdp out", &|frame| frame.source == frontend);
            let wanted = format!("default/web:tcp (NodePort {frontend}) ← {backend}: forwarded; sent back out of ");
            for frame in [&reply, &translated] {
                assert!(frame.comment.starts_with(&wanted), "{frame:?}");
            }
            assert!(frames.iter().all(|frame| !frame.is_bad), "{frames:#?}");
            let wrote = format!(", 0 lost; wrote {} frames to ", frames.len());
            assert!(summary.contains(&wrote), "{summary}");
            outside.scene.delete("Service", "web");
        }
    });
}

#[test]
#[ignore = "this kernel may refuse tracing programs: cargo xtask vm runs it"]
fn a_refusal_names_its_reason_and_conditions_choose_packets() {
    from_outside_by("xdp", "cap-refuse", |outside| {
        let family = Family::Ipv4;
        let (frontend, _) = serve_elsewhere(outside, family);
        let empty = family.frontend(9);
        outside
            .scene
            .put(&service("empty").cluster_ip(&empty.ip().to_string()).named_port("tcp", "TCP", 80, 80).build());
        expect(&outside.scene.from_node, empty, &["ECONNREFUSED"]);
        let captures = [
            (&["--reason", "no_backend"][..], true),
            (&["--verdict", "rejected"], true),
            (&["default/empty"], true),
            (&["--verdict", "dropped"], false),
            (&["--port", "81"], false),
            (&["--host", "192.0.2.77"], false),
        ];
        let captures =
            captures.map(|(arguments, has)| (Capture::start(&outside.scene.node, arguments), arguments, has));
        outside.client.tcp(frontend).unwrap();
        assert_eq!(outside.client.tcp(empty).unwrap_err().errno, "ECONNREFUSED");
        let (first, _, _) = &captures[0];
        first.wait("the RST", |frame| frame.is_reset);
        for (capture, arguments, has) in captures {
            let (frames, _) = capture.end();
            if !has {
                assert!(frames.is_empty(), "{arguments:?}: {frames:#?}");
                continue;
            }
            assert_eq!(frames.len(), 2, "{arguments:?}: {frames:#?}");
            assert_eq!((frames[0].destination, frames[1].source), (empty, empty));
            for frame in &frames {
                let wanted = format!("default/empty:tcp (ClusterIP {empty}): rejected, no_backend: no usable backend");
                assert!(frame.comment.starts_with(&wanted), "{frame:?}");
                assert!(frame.comment.contains("; RST sent back out of "), "{frame:?}");
            }
        }
    });
}

#[test]
#[ignore = "this kernel may refuse tracing programs: cargo xtask vm runs it"]
fn packets_of_no_service_are_in_the_file_only_when_asked_for() {
    from_outside_by("xdp", "cap-all", |outside| {
        let to = SocketAddr::new(Family::Ipv4.of(&outside.scene.node), 8080);
        let node = &outside.scene.node;
        let (all, usual) = (Capture::start(node, &["--all", "--protocol", "tcp"]), Capture::start(node, &[]));
        outside.client.tcp(to).unwrap();
        all.wait("a SYN", |frame| frame.is_syn && frame.destination == to);
        let (frames, _) = all.end();
        let untouched =
            only(&frames, |frame| frame.is_syn && frame.destination == to && frame.interface.ends_with(" xdp in"));
        assert_eq!(untouched.comment, "untouched; passed to the stack");
        assert!(frames.iter().all(|frame| !frame.interface.ends_with("out")), "{frames:#?}");
        assert!(usual.end().0.iter().all(|frame| frame.destination != to));
    });
}

#[test]
#[ignore = "this kernel may refuse tracing programs: cargo xtask vm runs it"]
fn what_tc_receives_and_sends_is_in_the_file_with_comments() {
    from_outside_by("auto", "cap-tc", |outside| {
        let family = Family::Ipv4;
        outside.serve(family, &outside.web(family), &[outside.scene.pod(1)]);
        let frontend = outside.node_port(family);
        expect(&outside.client, frontend, &["p1"]);
        let backend = SocketAddr::new(family.of(outside.scene.pod(1)), 8080);
        let capture = Capture::start(&outside.scene.node, &["svc/web", "--protocol", "tcp"]);
        outside.client.tcp(frontend).unwrap();
        capture.wait("the SYN-ACK", |frame| frame.is_syn && frame.source == frontend);
        let (frames, _) = capture.end();
        for (word, destination, wanted) in [
            (" tc ingress in", frontend, "; passed to the stack"),
            (" tc ingress out", backend, "; passed to the stack"),
        ] {
            let frame = only(&frames, |frame| {
                frame.is_syn && frame.interface.ends_with(word) && frame.destination == destination
            });
            assert!(frame.comment.contains(&format!("→ {backend}: translated{wanted}")), "{frame:?}");
        }
        for (word, source) in [(" tc egress in", backend), (" tc egress out", frontend)] {
            let frame =
                only(&frames, |frame| frame.is_syn && frame.interface.ends_with(word) && frame.source == source);
            assert!(frame.comment.contains(&format!("← {backend}: ")), "{frame:?}");
        }
        // By way of another node the packet is redirected.
        outside.serve_by(family, &[&outside.remote]);
        expect(&outside.client, frontend, &["far"]);
        let capture = Capture::start(&outside.scene.node, &["--port", "8080", "--count", "1"]);
        outside.client.tcp(frontend).unwrap();
        let (frames, summary) = capture.ended();
        assert!(frames.iter().all(|frame| frame.comment.contains("redirected")), "{frames:#?}");
        assert!(summary.starts_with("waggle: 1 packet, 0 lost; wrote 2 frames"), "{summary}");
    });
}

/// Whether the kernel still has one of these links.
fn has_any(links: &BTreeSet<u64>) -> bool {
    let output = Command::new("bpftool").args(["-j", "link", "list"]).output().expect("run bpftool");
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    all.as_array().unwrap().iter().filter_map(|link| link["id"].as_u64()).any(|id| links.contains(&id))
}

#[test]
#[ignore = "this kernel may refuse tracing programs: cargo xtask vm runs it"]
fn nothing_is_left_behind_also_when_it_is_killed() {
    from_outside_by("xdp", "cap-end", |outside| {
        let capture = Capture::start(&outside.scene.node, &[]);
        let links = capture.links();
        assert!(links.len() >= 2 && has_any(&links), "{links:?}");
        capture.end();
        until("no links after Ctrl-C", || !has_any(&links));
        let mut capture = Capture::start(&outside.scene.node, &[]);
        let links = capture.links();
        assert!(has_any(&links));
        capture.process.signal(Signal::SIGKILL).unwrap();
        capture.process.wait(WAIT_LIMIT).unwrap();
        until("no links after a kill", || !has_any(&links));
        serve_elsewhere(outside, Family::Ipv4);
    });
}

#[test]
#[ignore = "this kernel may refuse tracing programs: cargo xtask vm runs it"]
fn it_works_without_an_agent_and_follows_the_next_one() {
    from_outside_by("xdp", "cap-again", |outside| {
        let (frontend, backend) = serve_elsewhere(outside, Family::Ipv4);
        outside.scene.waggle.kill().unwrap();
        let capture = Capture::start(&outside.scene.node, &["default/web"]);
        let old = capture.links();
        let dial = || outside.client.tcp(frontend).is_ok_and(|reply| reply.message.backend() == "far");
        assert!(dial());
        capture.wait("the SYN to the backend", |frame| frame.is_syn && frame.destination == backend);
        outside.scene.waggle.restart().unwrap();
        until("the new programs are traced", || {
            let new = capture.links();
            !new.is_empty() && new.is_disjoint(&old)
        });
        let is_first = |frame: &&Frame| frame.is_syn && frame.destination == backend;
        let before = capture.frames().iter().filter(is_first).count();
        assert!(outside.client.tcp(frontend).is_ok());
        until("a SYN by the new programs", || capture.frames().iter().filter(is_first).count() > before);
        let (all, _) = capture.end();
        assert!(all.iter().filter(is_first).all(|frame| frame.comment.starts_with("default/web:tcp (NodePort ")));
    });
}

#[test]
#[ignore = "this kernel may refuse tracing programs: cargo xtask vm runs it"]
fn standard_output_can_be_piped() {
    from_outside_by("xdp", "cap-pipe", |outside| {
        let (frontend, _) = serve_elsewhere(outside, Family::Ipv4);
        let mut command = Command::new(find_program("waggle", "WAGGLE_BIN").unwrap());
        command.args(["capture", "svc/web", "-c", "2", "-w", "-", "--instance", &outside.scene.node.instance()]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = outside.scene.node.spawn(command).unwrap();
        let mut errors = BufReader::new(process.take_stderr().unwrap()).lines().map(Result::unwrap);
        assert!(errors.next().unwrap().starts_with("waggle: capturing at "));
        outside.client.tcp(frontend).unwrap();
        let mut bytes = Vec::new();
        process.take_stdout().unwrap().read_to_end(&mut bytes).unwrap();
        assert!(process.wait(WAIT_LIMIT).unwrap().success());
        assert_eq!(frames(bytes.as_slice()).len(), 4);
        assert_eq!(errors.next().unwrap(), "waggle: 2 packets, 0 lost; wrote 4 frames");
    });
}

#[test]
#[ignore = "this kernel may refuse tracing programs: cargo xtask vm runs it"]
fn an_instance_that_is_removed_ends_the_capture_with_an_error() {
    from_outside_by("xdp", "cap-gone", |outside| {
        let mut capture = Capture::start(&outside.scene.node, &[]);
        outside.scene.waggle.kill().unwrap();
        let (success, text) = outside.scene.cli(&["cleanup"]);
        assert!(success, "{text}");
        assert!(!capture.process.wait(WAIT_LIMIT).unwrap().success());
        let mut errors = String::new();
        capture.errors.read_to_string(&mut errors).unwrap();
        assert!(errors.contains("its programs have been removed"), "{errors}");
    });
}
