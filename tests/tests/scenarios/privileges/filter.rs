//! The agent's seccomp filter is in force, and everything works with it: all other scenarios run with it, too.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use harness::{
    lab::{START, Source},
    objects::service,
    scene::{Origin, Setup, cluster_ips, until},
};
use serde_json::{Value, json};

use super::thread_status;

#[test]
fn every_thread_of_the_agent_is_filtered_and_gains_no_privileges() {
    let mut scene = Setup::new("filtered").start();
    let process = scene.waggle.process().id();
    let threads: Vec<_> =
        fs::read_dir(format!("/proc/{process}/task")).unwrap().map(|one| one.unwrap().path()).collect();
    assert!(threads.len() > 3, "{threads:?}");
    for thread in threads {
        assert_eq!(["Seccomp", "NoNewPrivs"].map(|field| thread_status(&thread, field)), ["2", "1"], "{thread:?}");
    }
}

/// Writes a kubeconfig whose token comes from a program, as in managed clusters.
fn with_plugin(kubeconfig: &Path, folder: &Path, token: &str) -> Source {
    let plugin = folder.join("plugin");
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": { "token": token },
    });
    // It shows under which conditions it runs.
    let status = folder.join("status");
    let script = format!("#!/bin/sh\ncat /proc/self/status > {}\necho '{credential}'\n", status.display());
    fs::write(&plugin, script).unwrap();
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
    let mut content: Value = serde_json::from_str(&fs::read_to_string(kubeconfig).unwrap()).unwrap();
    content["users"][0]["user"] = json!({ "exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": plugin, "interactiveMode": "Never",
    } });
    let path = folder.join("kubeconfig");
    fs::write(&path, content.to_string()).unwrap();
    Source::Kubeconfig(path)
}

#[test]
fn a_credential_plugin_runs_and_has_no_more_privileges_than_the_agent() {
    let scene = Setup::new("plugin").origin(Origin::Api).backends(1).build();
    scene.put(&service("web").cluster_ip("10.96.0.10").port(80, 8080).build());
    scene.api().set_token(Some("from-a-plugin"));
    let folder = harness::lab::scratch("plugin");
    fs::create_dir_all(&folder).unwrap();
    let Source::Kubeconfig(kubeconfig) = scene.api().source() else { panic!("an API server has a kubeconfig") };
    let source = with_plugin(&kubeconfig, &folder, "from-a-plugin");
    let agent = scene.node.waggle(&source).start().unwrap();
    agent.wait_log(START, |line| line.message() == "serving").unwrap();
    until("the Service is refused, not unreachable", || {
        scene.from_pod.tcp(cluster_ips(10, 80)[0]).is_err_and(|failure| failure.errno == "ECONNREFUSED")
    });
    let fields = ["Seccomp", "NoNewPrivs"].map(|field| thread_status(&folder, field));
    assert_eq!(fields, ["2", "1"]);
    fs::remove_dir_all(&folder).unwrap();
}
