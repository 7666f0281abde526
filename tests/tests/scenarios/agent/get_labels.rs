//! `waggle get` by the labels of Services, which a running agent knows: what is selected and shown, live, and what is said without
//! an agent.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{collections::BTreeSet, process::Output};

use harness::{
    objects::{ServiceBuilder, service},
    scene::{Family, Origin, Scene, Setup, expect, until, web, web_slice},
};
use serde_json::{Value, json};

use super::get::get_command;

/// The exit code of `waggle get` in the node's network namespace, and what it prints: output and errors.
fn get(scene: &Scene, arguments: &str, selector: Option<&str>) -> (i32, String, String) {
    let mut command = get_command(scene, arguments);
    command.args(selector.iter().flat_map(|selector| ["--selector", *selector]));
    let Output { status, stdout, stderr } = scene.node.netns().inside(|| command.output()).unwrap().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// The Services of the rows that a selector selects.
fn names(scene: &Scene, kind: &str, selector: &str) -> BTreeSet<String> {
    let (code, out, errors) = get(scene, &format!("{kind} -o json"), Some(selector));
    assert_eq!((code, errors.as_str()), (0, ""), "{kind} {selector}: {out}");
    let rows: Vec<Value> = serde_json::from_str(&out).unwrap();
    rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn with_affinity() -> ServiceBuilder {
    web("web", [Family::Ipv4.cluster_ip(10)]).client_ip_affinity(Some(600))
}

fn shop() -> ServiceBuilder {
    service("shop").cluster_ip("10.96.0.11").port(80, 80)
}

/// Serves `web`, which has two labels and a backend, `shop`, which has one, and `bare`, which has none.
fn serve(scene: &Scene) {
    scene.put(&with_affinity().label("app", "web").label("example.com/tier", "front").build());
    scene.put(&shop().label("app", "shop").build());
    scene.put(&service("bare").cluster_ip("10.96.0.12").port(80, 80).build());
    scene.put(&web_slice("web", Family::Ipv4).pod(scene.pod(1)).build());
    expect(&scene.from_pod, Family::Ipv4.frontend(10), &["p1"]);
    for number in [11, 12] {
        expect(&scene.from_pod, Family::Ipv4.frontend(number), &["ECONNREFUSED"]);
    }
}

fn check_selection(scene: &Scene) {
    for (selector, expected) in [
        ("app=web", &["web"][..]),
        ("app==web", &["web"]),
        ("app!=web", &["bare", "shop"]),
        ("app in (web,shop)", &["shop", "web"]),
        ("app notin (web)", &["bare", "shop"]),
        ("example.com/tier", &["web"]),
        ("!app", &["bare"]),
        ("app,!example.com/tier", &["shop"]),
        ("", &["bare", "shop", "web"]),
        ("app=none", &[]),
    ] {
        for kind in ["services", "endpoints"] {
            assert_eq!(names(scene, kind, selector), set(expected), "{kind} {selector}");
        }
    }
    let _open = scene.from_pod.connect_tcp(Family::Ipv4.frontend(10)).unwrap();
    for kind in ["flows", "affinity"] {
        assert_eq!(names(scene, kind, "app=web"), set(&["web"]), "{kind}");
        assert_eq!(names(scene, kind, "app=shop"), set(&[]), "{kind}");
    }
    let nothing = (0, String::new(), "waggle: no services found\n".to_owned());
    assert_eq!(get(scene, "services", Some("app=none")), nothing);
    assert_eq!(get(scene, "services shop", Some("app=web")), nothing, "it is there, but has other labels");
    assert_eq!(get(scene, "services x", Some("app=web")).0, 1);
}

fn check_shown(scene: &Scene) {
    let (code, table, errors) = get(scene, "services --show-labels -o wide", None);
    assert_eq!((code, errors.as_str()), (0, ""));
    let last: Vec<_> = table.lines().filter_map(|line| line.split_whitespace().last()).collect();
    let of_web = "app=web,example.com/tier=front";
    assert_eq!(last, ["LABELS", "<none>", "app=shop", of_web, of_web], "{table}");
    let (_, out, _) = get(scene, "services web --show-labels -o json", None);
    let rows: Vec<Value> = serde_json::from_str(&out).unwrap();
    assert!(rows.iter().all(|row| row["labels"] == json!({"app": "web", "example.com/tier": "front"})), "{out}");
    assert!(!get(scene, "services web -o json", None).1.contains("labels"), "they are not asked for");
}

#[test]
fn labels_of_services_select_rows_and_are_followed_live() {
    for (origin, name) in Origin::BOTH.into_iter().zip(["labels-dir", "labels-api"]) {
        let scene = Setup::new(name).origin(origin).backends(1).start();
        serve(&scene);
        check_selection(&scene);
        check_shown(&scene);
        scene.put(&with_affinity().label("app", "other").build());
        until("a label has changed", || names(&scene, "services", "app=other") == set(&["web"]));
        assert_eq!(names(&scene, "services", "example.com/tier"), set(&[]));
        assert_eq!(names(&scene, "endpoints", "app!=web"), set(&["bare", "shop", "web"]));
        scene.put(&shop().build());
        until("labels are gone", || names(&scene, "services", "!app") == set(&["bare", "shop"]));
        scene.put(&shop().label("canary", "").build());
        until("labels are back", || names(&scene, "services", "canary=") == set(&["shop"]));
    }
}

#[test]
fn labels_need_an_agent_and_nothing_else_does() {
    let mut scene = Setup::new("labels-gone").backends(1).start();
    serve(&scene);
    let unknown = |scene: &Scene, arguments: &str, selector: Option<&str>, reason: &str| {
        let (code, out, errors) = get(scene, arguments, selector);
        assert_eq!((code, out.as_str()), (1, ""), "{errors}");
        let instance = scene.node.instance();
        let start = format!("waggle: labels are not in the maps: only the agent of instance {instance:?} knows them");
        assert!(
            errors.starts_with(&start) && errors.contains("(start it, or name") && errors.contains(reason),
            "{errors}"
        );
    };
    unknown(&scene, "services --address 127.0.0.1:1", Some("app=web"), "no agent answers at 127.0.0.1:1: ");
    scene.waggle.kill().unwrap();
    unknown(&scene, "services", Some("app=web"), "no agent answers at 127.0.0.1:10249: ");
    unknown(&scene, "flows", Some("!app"), "no agent answers at 127.0.0.1:10249: ");
    unknown(&scene, "services --show-labels", None, "no agent answers at 127.0.0.1:10249: ");
    let all = get(&scene, "services", None);
    assert!(all.0 == 0 && all.1.contains(" shop "), "{all:?}");
    assert_eq!(get(&scene, "services", Some("")), all, "it selects everything, and asks for no labels");
}

#[test]
fn what_is_no_selector_is_shown_and_what_has_no_labels_is_named() {
    let scene = Setup::new("labels-bad").backends(1).start();
    let (code, out, errors) = get(&scene, "services", Some("app in (web"));
    assert_eq!((code, out.as_str()), (2, ""));
    let expected = "at character 12: expected ',' or ')', found the end\n  app in (web\n             ^\n";
    assert!(errors.contains(expected), "{errors}");
    let (code, out, errors) = get(&scene, "devices", Some("app=web"));
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(errors.starts_with("waggle: select devices by labels: -l is for services, endpoints, "), "{errors}");
}
