//! Programs of socket hooks that are detached by others (S31, S32).

use std::{fs, process::Command, thread, time::Duration};

use harness::{
    lab::{Dial, LogLine, Transport, Waggle, eventually},
    scene::{Origin, Scene, Setup, cluster_ips, dual, until},
};
use serde_json::{Value, json};

use super::api_events::arrives;
use crate::health::{METRICS, page};

/// The minute after which a missing program counts, and time to see it.
const LONG: Duration = Duration::from_secs(90);
/// A `healthCheckNodePort`.
const CHECK: u16 = 32_541;

/// A Service with one backend.
fn scene(name: &str) -> Scene {
    let scene = Setup::new(name).origin(Origin::Api).backends(1).start();
    scene.put(&dual("web", 10).port(80, 8080).build());
    scene.endpoints("web", |slice| slice.port(8080), &[scene.pod(1)]);
    until("the Service", || is_served(&scene));
    scene
}

fn is_served(scene: &Scene) -> bool {
    let dial = |to| scene.from_pod.dial(&Dial::new(Transport::Tcp, to).timeout(Duration::from_millis(300)));
    cluster_ips(10, 80).into_iter().all(|to| dial(to).is_ok())
}

/// Runs bpftool, and returns its output.
fn bpftool(arguments: &str) -> String {
    let output = Command::new("bpftool").args(arguments.split(' ')).output().expect("bpftool");
    assert!(output.status.success(), "bpftool {arguments}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn pin(waggle: &Waggle, hook: &str) -> String {
    waggle.pins().join("links").join(hook).display().to_string()
}

/// Detaches a hook's program. Returns the program's id.
pub(super) fn detach(waggle: &Waggle, hook: &str) -> Value {
    let pin = pin(waggle, hook);
    let link: Value = serde_json::from_str(&bpftool(&format!("--json link show pinned {pin}"))).expect("JSON");
    bpftool(&format!("link detach pinned {pin}"));
    link["prog_id"].clone()
}

fn has_lost(hook: &str) -> impl Fn(&LogLine) -> bool {
    move |line| {
        line.field("hook") == Some(&json!(hook)) && line.message().starts_with("socket hook has lost its program")
    }
}

fn lines(waggle: &Waggle, hook: &str) -> Vec<LogLine> {
    waggle.log().since(0).into_iter().filter(has_lost(hook)).collect()
}

#[test]
fn s31_a_detached_socket_hook_is_attached_again() {
    let scene = scene("detached");
    detach(&scene.waggle, "connect4");
    // The agent may look at this very moment, so the time until it does is not checked.
    until("noticed", || !lines(&scene.waggle, "connect4").is_empty());
    until("served again", || is_served(&scene));
    let pin = pin(&scene.waggle, "connect6");
    fs::remove_file(&pin).expect("the pin");
    until("no program translates, or it is there again", || !is_served(&scene) || fs::exists(&pin).unwrap_or(false));
    until("pinned again", || fs::exists(&pin).unwrap_or(false));
    until("served once more", || is_served(&scene));
    for hook in ["connect4", "connect6"] {
        let lines = lines(&scene.waggle, hook);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].message().contains("attached again"), "{lines:?}");
    }
}

fn health(scene: &Scene, path: &str) -> (u16, String) {
    page(scene, "127.0.0.1", 10_256, path).unwrap_or_default()
}

fn is_missing(scene: &Scene, count: f64) -> bool {
    let page = page(scene, "127.0.0.1", METRICS, "/metrics").unwrap_or_default().1;
    let value = page.lines().find_map(|line| line.strip_prefix("waggle_hooks_missing "));
    value.and_then(|value| value.parse::<f64>().ok()).is_some_and(|value| (value - count).abs() < 0.5)
}

#[test]
fn s22_s32_a_node_whose_socket_hook_stays_without_its_program_is_unhealthy() {
    let scene = scene("occupied");
    let balanced = dual("balanced", 11).kind("LoadBalancer").port(80, 8080).external_local();
    scene.put(&balanced.spec("healthCheckNodePort", CHECK).build());
    scene.endpoints("balanced", |slice| slice.port(8080), &[scene.pod(1)]);
    let check = || page(&scene, "127.0.0.1", CHECK, "/").unwrap_or_default();
    until("load balancers learn of the backend", || check().0 == 200);
    assert!(health(&scene, "/healthz").0 == 200 && is_missing(&scene, 0.0));
    let hook = "getpeername4";
    let program = detach(&scene.waggle, hook);
    let cgroup = scene.lab.cgroup().display().to_string();
    // Without flags no other program may be on the hook.
    bpftool(&format!("cgroup attach {cgroup} {hook} id {program}"));
    until("counted", || is_missing(&scene, 1.0));
    assert_eq!(health(&scene, "/healthz").0, 200, "for a while it may be missing");
    for path in ["/healthz", "/livez"] {
        assert!(eventually(LONG, || health(&scene, path).0 == 503), "{path}: {:?}", health(&scene, path));
    }
    let (code, body) = check();
    assert!(code == 503 && body.contains(r#""localEndpoints":1,"serviceProxyHealthy":false"#), "{code} {body}");
    let (_, body) = health(&scene, "/healthz");
    assert!(body.contains("hook getpeername4 of the cgroup") && body.contains("attach getpeername4 to"), "{body}");
    arrives(&scene, "HooksMissing", "Node", scene.node.name(), "hook getpeername4 of the cgroup");
    let logged = lines(&scene.waggle, hook);
    assert!(logged.len() == 1 && logged[0].field("level") == Some(&json!("ERROR")), "once: {logged:?}");

    bpftool(&format!("cgroup detach {cgroup} {hook} id {program}"));
    until("healthy", || health(&scene, "/healthz").0 == 200 && check().0 == 200);
    arrives(&scene, "HooksAttached", "Node", scene.node.name(), "has its program again");
    assert!(is_missing(&scene, 0.0));
    thread::sleep(Duration::from_secs(1));
    assert_eq!(lines(&scene.waggle, hook).len(), 2, "trying again, and attached again");
}
