//! The containers of `deploy/` have no more privileges than `docs/security.md` says. Needs no cluster.

use std::{fs, path::Path};

use clap::Parser as _;
use proxy_userspace::commands::cli::{Cli, Command};
use serde_json::{Value, json};

/// The containers of a manifest's DaemonSet that run Waggle.
fn containers(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file);
    let text = fs::read_to_string(path).expect("read a manifest");
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).expect("parse it");
    let pods =
        objects.iter().filter(|object| object["kind"] == "DaemonSet").map(|set| &set["spec"]["template"]["spec"]);
    let all = pods.flat_map(|pod| [&pod["initContainers"], &pod["containers"]]).filter_map(Value::as_array).flatten();
    all.filter(|container| container["image"].as_str().is_some_and(|image| image.contains("waggle"))).cloned().collect()
}

#[test]
fn no_container_is_privileged_or_writes_to_its_image() {
    for file in ["base/daemonset.yaml", "cleanup/daemonset.yaml", "cleanup-kube-proxy/daemonset.yaml"] {
        let containers = containers(file);
        assert_eq!(containers.len(), 1, "{file}");
        let context = &containers[0]["securityContext"];
        assert!(matches!(context["privileged"], Value::Null | Value::Bool(false)), "{file}: {context}");
        assert_eq!(context["readOnlyRootFilesystem"], json!(true), "{file}: {context}");
        assert_eq!(context["capabilities"]["drop"], json!(["ALL"]), "{file}: {context}");
    }
}

#[test]
fn kube_proxy_is_removed_by_a_command_of_the_agents_image() {
    let [container] = <[Value; 1]>::try_from(containers("cleanup-kube-proxy/daemonset.yaml")).expect("one container");
    assert_eq!(container["image"], containers("base/daemonset.yaml")[0]["image"]);
    let arguments = container["args"].as_array().expect("arguments").iter().filter_map(Value::as_str);
    let command = Cli::try_parse_from(["waggle"].into_iter().chain(arguments)).expect("a command line").command;
    assert!(matches!(command, Command::Cleanup(_)));
}
