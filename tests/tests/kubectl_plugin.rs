//! `deploy/kubectl-waggle`, with a program in kubectl's place that records its arguments. Needs no cluster.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use clap::CommandFactory as _;
use proxy_userspace::commands::cli::Cli;
use serde_json::Value;
use tempfile::TempDir;

/// Writes its arguments to the file `calls`, one on a line behind `>`, and an empty line. Lists the lines of the file `pods`; ends
/// any other command with the code in the file `code`.
const KUBECTL: &str = r#"#!/bin/sh
folder=$(dirname "$0")
for argument in "$@"; do printf '>%s\n' "$argument" >>"$folder/calls"; done
echo >>"$folder/calls"
case " $* " in
    *" get pods "*) cat "$folder/pods" ;;
    *) exit "$(cat "$folder/code")" ;;
esac
"#;

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file)
}

/// A folder with `kubectl`, and what it has been asked.
struct Cluster(TempDir);

/// What a run of the plugin gave.
struct Run {
    code: i32,
    stdout: String,
    stderr: String,
    /// The arguments of each call of kubectl.
    calls: Vec<Vec<String>>,
}

impl Cluster {
    /// A cluster in which these Pods of Waggle run, each as its node and its name.
    fn new(pods: &[&str]) -> Self {
        let cluster = Self(tempfile::tempdir().unwrap());
        cluster.write("kubectl", KUBECTL);
        fs::set_permissions(cluster.0.path().join("kubectl"), fs::Permissions::from_mode(0o755)).unwrap();
        cluster.write("pods", &(pods.join("\n") + "\n"));
        cluster.write("code", "0");
        cluster
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.0.path().join(file), text).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let path = format!("{}:{}", self.0.path().display(), env::var("PATH").unwrap());
        let output = Command::new(deploy("kubectl-waggle")).args(arguments).env("PATH", path).output().unwrap();
        let Output { status, stdout, stderr } = output;
        let calls = fs::read_to_string(self.0.path().join("calls")).unwrap_or_default();
        let call = |call: &str| call.lines().filter_map(|line| line.strip_prefix('>').map(str::to_owned)).collect();
        Run {
            code: status.code().unwrap(),
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
            calls: calls.split("\n\n").filter(|call| !call.is_empty()).map(call).collect(),
        }
    }
}

/// The arguments that waggle gets in a Pod, from the second of two calls.
fn executed(run: &Run, pod: &str) -> Vec<String> {
    assert_eq!((run.code, run.calls.len()), (0, 2), "{}", run.stderr);
    let (start, rest) = run.calls[1].split_at(7);
    assert_eq!(start, ["exec", "--namespace", "kube-system", pod, "--container", "waggle", "--"], "{:?}", run.calls);
    assert_eq!(rest[0], "waggle");
    rest[1..].to_vec()
}

#[test]
fn arguments_reach_waggle_as_they_are() {
    for arguments in [
        &["get", "services", "-n", "default", "-o", "json"][..],
        &["get", "services", "a b", "", "it's \"quoted\"", "$HOME", "*", "\\"],
        &["get", "services", "-l", "app in (web,shop),!canary", "--show-labels"],
        &["--version"],
        &["get", "--help"],
    ] {
        let run = Cluster::new(&["node-1 waggle-a"]).run(arguments);
        assert_eq!(executed(&run, "waggle-a"), arguments);
    }
}

#[test]
fn the_only_node_needs_no_name() {
    let run = Cluster::new(&["node-1 waggle-a"]).run(&["get", "services"]);
    assert_eq!(executed(&run, "waggle-a"), ["get", "services"]);
    let run = Cluster::new(&["node-1 waggle-a", "node-2 waggle-b"]).run(&["get", "services"]);
    assert_eq!((run.code, run.calls.len()), (2, 1));
    assert_eq!(run.stderr, "kubectl-waggle: Waggle runs on several nodes; name one by --node: node-1, node-2\n");
}

#[test]
fn the_node_is_named_before_or_after_the_command() {
    let cluster = || Cluster::new(&["node-1 waggle-a", "node-2 waggle-b", "node-3 waggle-c"]);
    for arguments in [
        &["--node", "node-2", "get", "flows", "--watch"][..],
        &["get", "flows", "--node=node-2", "--watch"],
        &["get", "flows", "--watch", "--node", "node-2"],
    ] {
        assert_eq!(executed(&cluster().run(arguments), "waggle-b"), ["get", "flows", "--watch"]);
    }
    let run = cluster().run(&["get", "flows", "--node", "node"]);
    assert_eq!((run.code, run.calls.len()), (1, 1));
    let expected = "kubectl-waggle: Waggle does not run on node node; it runs on node-1, node-2, node-3\n";
    assert_eq!(run.stderr, expected);
}

#[test]
fn context_and_namespace_are_kubectls() {
    let arguments = ["get", "maps", "--context", "other", "--pod-namespace=proxies"];
    let run = Cluster::new(&["node-1 waggle-a"]).run(&arguments);
    assert_eq!((run.code, run.calls.len()), (0, 2), "{}", run.stderr);
    assert!(run.calls.iter().all(|call| call[..2] == ["--context", "other"]), "{:?}", run.calls);
    let namespaces = run.calls.iter().map(|call| {
        let flag = call.iter().position(|argument| argument == "--namespace").unwrap();
        call[flag + 1].as_str()
    });
    assert_eq!(namespaces.collect::<Vec<_>>(), ["proxies", "proxies"]);
}

/// The labels by which a run has looked for Pods.
fn selector(run: &Run) -> &str {
    let flag = run.calls[0].iter().position(|argument| argument == "--selector").unwrap();
    &run.calls[0][flag + 1]
}

#[test]
fn pods_and_maps_are_those_of_the_instance() {
    for arguments in [&["--instance", "blue", "get", "services"][..], &["get", "--instance=blue", "services"]] {
        let run = Cluster::new(&["node-1 waggle-blue-a"]).run(arguments);
        assert_eq!(executed(&run, "waggle-blue-a"), ["get", "services", "--instance=blue"]);
        assert_eq!(selector(&run), "app.kubernetes.io/name=waggle,app.kubernetes.io/instance=waggle-blue");
    }
    let run = Cluster::new(&["node-1 waggle-a"]).run(&["get", "services", "--instance", "default"]);
    assert_eq!(executed(&run, "waggle-a"), ["get", "services"]);
    assert_eq!(selector(&run), "app.kubernetes.io/name=waggle,app.kubernetes.io/instance=waggle");
}

#[test]
fn only_commands_about_an_instance_get_its_name() {
    for command in Cli::command().get_subcommands() {
        let has_flag = command.get_arguments().any(|argument| argument.get_long() == Some("instance"));
        let run = Cluster::new(&["node-1 waggle-blue-a"]).run(&["--instance=blue", command.get_name()]);
        let arguments = executed(&run, "waggle-blue-a");
        assert_eq!(arguments.contains(&"--instance=blue".to_owned()), has_flag, "{arguments:?}");
    }
    let run = Cluster::new(&["node-1 waggle-blue-a"]).run(&["--instance=blue", "--version"]);
    assert_eq!(executed(&run, "waggle-blue-a"), ["--version"]);
}

#[test]
fn exit_codes_are_passed_through() {
    for code in [1, 2, 130] {
        let cluster = Cluster::new(&["node-1 waggle-a"]);
        cluster.write("code", &code.to_string());
        assert_eq!(cluster.run(&["get", "services", "nope"]).code, code);
    }
}

#[test]
fn help_and_mistakes_need_no_cluster() {
    let run = Cluster::new(&[]).run(&["--help"]);
    assert_eq!((run.code, run.calls.len()), (0, 0));
    assert!(run.stdout.contains("kubectl waggle [--node NODE] COMMAND"), "{}", run.stdout);
    let run = Cluster::new(&[]).run(&[]);
    assert_eq!((run.code, run.stdout.as_str(), run.calls.len()), (2, "", 0));
    let run = Cluster::new(&[]).run(&["get", "services", "--node"]);
    assert_eq!((run.code, run.stderr.as_str()), (2, "kubectl-waggle: --node needs a value\n"));
}

#[test]
fn a_cluster_without_waggle_is_said_to_have_none() {
    let run = Cluster::new(&[]).run(&["get", "services"]);
    assert_eq!((run.code, run.calls.len()), (1, 1));
    let expected = "kubectl-waggle: no Pod with labels \
                    app.kubernetes.io/name=waggle,app.kubernetes.io/instance=waggle runs in namespace kube-system \
                    (--pod-namespace and --instance name others)\n";
    assert_eq!(run.stderr, expected);
}

#[test]
fn pods_are_found_by_what_the_daemon_set_gives_them() {
    let text = fs::read_to_string(deploy("base/daemonset.yaml")).unwrap();
    let set: Value = serde_saphyr::from_str(&text).unwrap();
    let run = Cluster::new(&["node-1 waggle-a"]).run(&["get", "services"]);
    let has = |call: usize, flag: &str, value: &Value| {
        let pair = [flag, value.as_str().unwrap()];
        run.calls[call].windows(2).any(|found| found == pair)
    };
    let template = &set["spec"]["template"];
    let labels = template["metadata"]["labels"].as_object().unwrap();
    for (label, value) in labels {
        let pair = format!("{label}={}", value.as_str().unwrap());
        assert!(selector(&run).split(',').any(|part| part == pair), "{pair}: {:?}", run.calls);
    }
    assert!((0..2).all(|call| has(call, "--namespace", &set["metadata"]["namespace"])), "{:?}", run.calls);
    assert!(has(1, "--container", &template["spec"]["containers"][0]["name"]), "{:?}", run.calls);
}
