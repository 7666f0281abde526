//! `waggle status` beside a running agent, beside one whose API server is silent or whose maps are full, and without an agent.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Output, Stdio},
};

use harness::{
    lab::find_program,
    objects::service,
    scene::{Origin, Scene, Setup, cluster_ips, dual, until},
};
use serde_json::{Value, json};

use super::hooks::detach;
use crate::health::{METRICS, page};

/// Runs `waggle status` in the node's network namespace. Returns the exit code, and what it prints: output and errors.
fn status(scene: &Scene, arguments: &str) -> (i32, String, String) {
    let mut command = Command::new(find_program("waggle", "WAGGLE_BIN").unwrap());
    command.arg("status").args(arguments.split_whitespace()).args(["--instance", &scene.node.instance()]);
    let Output { status, stdout, stderr } = scene.node.netns().inside(|| command.output()).unwrap().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// The exit code, and the report.
fn report(scene: &Scene) -> (i32, Value) {
    let (code, out, errors) = status(scene, "-o json");
    (code, serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out} {errors}")))
}

fn reasons(report: &Value) -> Vec<&str> {
    report["reasons"].as_array().unwrap().iter().map(|reason| reason.as_str().unwrap()).collect()
}

/// How many entries a map has, as a report says.
fn entries(report: &Value, map: &str) -> Option<u64> {
    report["maps"].as_array()?.iter().find(|row| row["name"] == map)?["entries"].as_u64()
}

/// Serves `default/web` by one pod, at both families, and waits until the status says so: two frontends and two marks of their
/// addresses.
fn serve_and_count(scene: &Scene) {
    serve(scene);
    until("it is counted", || entries(&report(scene).1, "SERVICES") == Some(4));
}

/// Serves `default/web` by one pod, at both families.
fn serve(scene: &Scene) {
    scene.put(&dual("web", 10).port(80, 8080).build());
    scene.endpoints("web", |slice| slice.port(8080), &[scene.pod(1)]);
    until("it answers", || answers(scene));
}

fn answers(scene: &Scene) -> bool {
    cluster_ips(10, 80).into_iter().all(|to| scene.from_pod.tcp(to).is_ok())
}

#[test]
fn status_says_that_all_is_well_in_every_form() {
    let scene = Setup::new("status").backends(1).args(["--device-mode", "tc"]).start();
    serve_and_count(&scene);
    let (code, shown) = report(&scene);
    assert_eq!((code, &shown["health"], reasons(&shown)), (0, &json!("healthy"), vec![]), "{shown:#}");
    assert_eq!(shown["inForce"], json!({ "services": 1, "servicePorts": 2, "frontends": 2, "backends": 2 }));
    assert_eq!(
        (&shown["agent"]["nodeName"], &shown["instance"]),
        (&json!(scene.node.name()), &json!(scene.node.instance()))
    );
    assert_eq!(shown["agent"]["source"]["type"], "folder");
    assert!(
        shown["agent"]["generation"].as_u64() > Some(0) && shown["agent"]["lastAppliedAgeSeconds"].is_u64(),
        "{shown:#}"
    );
    let hooks = shown["hooks"].as_array().unwrap();
    assert!(hooks.len() == 9 && hooks.iter().all(|hook| hook["attached"] == true), "{hooks:#?}");
    let devices = shown["devices"].as_array().unwrap();
    assert!(devices.iter().any(|device| device["mode"] == "tc" && device["attached"] == true), "{devices:#?}");
    let services = shown["maps"].as_array().unwrap().iter().find(|map| map["name"] == "SERVICES").cloned().unwrap();
    assert!(services["entries"] == 4 && services["limit"].as_u64() > services["capacity"].as_u64(), "{services}");

    let (code, table, errors) = status(&scene, "");
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(table.contains("\nHealth      healthy\n") && table.contains("\nHooks       9 of 9 attached\n"), "{table}");
    assert!(!table.contains('\x1b'), "no colour in a pipe: {table}");
    let maps = |text: &str| text.lines().filter(|line| line.contains(" % ")).count();
    let (_, wide, _) = status(&scene, "-o wide");
    assert!(maps(&table) == 5 && maps(&wide) > 10, "{table}{wide}");
    let yaml: Value = serde_saphyr::from_str(&status(&scene, "-o yaml").1).unwrap();
    assert_eq!(yaml["agent"]["nodeName"], shown["agent"]["nodeName"]);
    let (code, served) = page(&scene, "127.0.0.1", METRICS, "/status").unwrap();
    assert_eq!(code, 200);
    assert_eq!(
        serde_json::from_str::<Value>(&served).unwrap()["hooks"],
        shown["hooks"],
        "the command shows this document"
    );
}

#[test]
fn a_watched_status_follows_the_instance_until_it_is_removed() {
    let mut scene = Setup::new("st-watch").backends(1).start();
    serve(&scene);
    let mut command = Command::new(find_program("waggle", "WAGGLE_BIN").unwrap());
    command.args(["status", "--watch", "-o", "json", "--instance", &scene.node.instance()]).stdout(Stdio::piped());
    let mut watch = scene.node.netns().inside(|| command.spawn()).unwrap().unwrap();
    let lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut reports = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    assert_eq!(reports.next().unwrap()["health"], "healthy");
    scene.waggle.kill().unwrap();
    assert!(reports.any(|report| report["health"] == "unhealthy" && report["agent"].is_null()));
    assert!(scene.cli(&["cleanup"]).0);
    reports.for_each(drop);
    assert_eq!(watch.wait().unwrap().code(), Some(1));
}

#[test]
fn s30_status_says_that_an_api_server_no_longer_answers() {
    let limited = ["--unhealthy-after", "15"];
    let scene = Setup::new("st-silent").origin(Origin::Api).backends(1).args(limited).start();
    serve(&scene);
    let shown = report(&scene).1;
    assert_eq!(
        (&shown["agent"]["source"]["type"], &shown["agent"]["source"]["silenceLimitSeconds"]),
        (&json!("apiServer"), &json!(15))
    );
    scene.api().silence();
    scene.api().hang(true);
    until("it is unhealthy", || report(&scene).0 == 1);
    let (_, shown) = report(&scene);
    assert_eq!(shown["health"], "unhealthy");
    let watches = shown["agent"]["source"]["watches"].as_array().unwrap();
    let age = |watch: &Value| watch["ageSeconds"].as_u64().unwrap();
    let longest = watches.iter().map(age).max().unwrap();
    assert!(watches.len() == 4 && longest >= 15, "{watches:?}");
    // Several kinds may have been silent for as many seconds; the sentence is about one of them.
    let silent = watches.iter().filter(|watch| age(watch) == longest).map(|watch| watch["kind"].as_str().unwrap());
    let sentence = |kind: &str| format!("nothing heard of {kind} objects from the API server");
    let (shown, table) = (reasons(&shown).concat(), status(&scene, "").1);
    assert!(silent.clone().any(|kind| shown.starts_with(&sentence(kind))), "{shown}");
    assert!(silent.into_iter().any(|kind| table.contains(&format!("            - {}", sentence(kind)))), "{table}");
    assert!(answers(&scene), "what was served is served on");
}

#[test]
fn s7_status_names_what_is_not_in_force_and_what_is_skipped() {
    let scene = Setup::new("st-full").origin(Origin::Api).args(["--max-services", "4"]).start();
    for number in 10..16 {
        let bad = service(&format!("web-{number}")).cluster_ip(&format!("10.96.0.{number}")).port(80, 8080);
        scene.put(&bad.external_ip("127.0.0.1").build());
    }
    until("it is degraded", || report(&scene).1["health"] == "degraded");
    until("all have been tried", || report(&scene).1["agent"]["skippedFields"] == 6);
    let (code, shown) = report(&scene);
    assert_eq!(code, 0, "a full map is no reason to restart: {shown:#}");
    let [refused] = &shown["agent"]["notInForce"].as_array().unwrap()[..] else { panic!("{shown:#}") };
    assert!(refused["error"].as_str().unwrap().contains("--max-services"), "{refused}");
    assert!(refused["map"].is_string() && refused["first"].as_str().unwrap().contains("default/web-"), "{refused}");
    assert!(reasons(&shown)[0].starts_with("not in force ("), "{shown:#}");
    let skipped = &shown["agent"]["skipped"][0];
    assert_eq!(
        (&skipped["object"], &skipped["field"]),
        (&json!("Service default/web-10"), &json!("spec.externalIPs[0]"))
    );
    let log = shown["agent"]["lastErrors"].as_array().unwrap();
    let is_error =
        |line: &Value| line["level"] == "error" && line["message"].as_str().unwrap().starts_with("degraded: ");
    assert!(log.iter().any(is_error), "{log:#?}");
}

#[test]
fn s31_status_without_an_agent_says_what_is_served_on() {
    let mut scene = Setup::new("st-alone").backends(1).start();
    serve_and_count(&scene);
    let with = report(&scene).1;
    let elsewhere = status(&scene, "--address 127.0.0.1:1");
    assert!(elsewhere.0 == 1 && elsewhere.1.contains("the instance's agent runs"), "{elsewhere:?}");
    scene.waggle.kill().unwrap();
    let (code, without) = report(&scene);
    assert_eq!((code, &without["health"], without.get("agent")), (1, &json!("unhealthy"), None));
    assert_eq!((&without["inForce"], &without["hooks"]), (&with["inForce"], &with["hooks"]));
    let shown = reasons(&without);
    assert!(shown.len() == 1 && shown[0].starts_with("no agent answers at 127.0.0.1:10249"), "{shown:?}");
    assert!(shown[0].contains("is served on") && shown[0].contains("start the agent"), "{shown:?}");
    assert_eq!(entries(&without, "SERVICES"), entries(&with, "SERVICES"));
    detach(&scene.waggle, "connect4");
    let (_, shown) = report(&scene);
    assert!(reasons(&shown)[1].starts_with("hook connect4 of the cgroup has no program"), "{shown:#}");
    assert!(status(&scene, "").1.contains("\nHooks       8 of 9 attached\n            - connect4 is missing\n"));
    let (success, text) = scene.cli(&["cleanup"]);
    assert!(success, "{text}");
    let (code, out, errors) = status(&scene, "");
    assert_eq!((code, out.as_str()), (1, ""));
    let nothing = format!("waggle: show the status of instance {:?}: no agent answers at ", scene.node.instance());
    assert!(errors.starts_with(&nothing) && errors.contains("it is not on this machine"), "{errors}");
}
