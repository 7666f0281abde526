//! `deploy/` keeps its promises: permissions for exactly what the agent watches and writes, and manifests that agree with one
//! another. Needs no cluster.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use clap::Parser as _;
use proxy_userspace::commands::cli::{Cli, Command};
use serde_json::Value;

/// The resources that the agent lists and watches.
const WATCHED: [(&str, &str); 4] =
    [("", "nodes"), ("", "services"), ("discovery.k8s.io", "endpointslices"), ("networking.k8s.io", "servicecidrs")];
/// The verbs that a watch needs.
const VERBS: [&str; 2] = ["list", "watch"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

fn read(file: &str) -> String {
    let path = folder().join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}

/// The names in a folder of `deploy/`.
fn names(folder_name: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder().join(folder_name)).expect("a folder of deploy/");
    let names = entries.map(|entry| entry.expect("an entry of it").file_name());
    names.map(|name| name.into_string().expect("a name in UTF-8")).collect()
}

fn objects(file: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&read(file)).unwrap_or_else(|error| panic!("parse {file}: {error}"))
}

fn object(file: &str, kind: &str) -> Value {
    let found: Vec<Value> = objects(file).into_iter().filter(|object| object["kind"] == kind).collect();
    let [object] = found.as_slice() else { panic!("{file} has {} objects of kind {kind}", found.len()) };
    object.clone()
}

fn pod() -> Value {
    object("base/daemonset.yaml", "DaemonSet")["spec"]["template"]["spec"].clone()
}

fn container() -> Value {
    pod()["containers"][0].clone()
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().expect("a list").iter().map(|item| item.as_str().expect("a string")).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).expect("a list")
}

#[test]
fn permissions_are_exactly_what_the_agent_watches_and_events() {
    let role = object("base/rbac.yaml", "ClusterRole");
    let mut granted = BTreeSet::new();
    for rule in list(&role["rules"]) {
        let keys: BTreeSet<&str> = rule.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, BTreeSet::from(["apiGroups", "resources", "verbs"]));
        for group in strings(&rule["apiGroups"]) {
            for resource in strings(&rule["resources"]) {
                for verb in strings(&rule["verbs"]) {
                    assert!(granted.insert((group, resource, verb)), "{group}/{resource} {verb} is granted twice");
                }
            }
        }
    }
    let wanted = WATCHED.iter().flat_map(|(group, resource)| VERBS.map(|verb| (*group, *resource, verb)));
    let written = ["create", "patch"].map(|verb| ("events.k8s.io", "events", verb));
    assert_eq!(granted, wanted.chain(written).collect());
}

#[test]
fn the_agent_runs_with_the_account_that_has_the_permissions() {
    let daemonset = object("base/daemonset.yaml", "DaemonSet");
    let account = object("base/rbac.yaml", "ServiceAccount");
    let binding = object("base/rbac.yaml", "ClusterRoleBinding");
    assert_eq!(pod()["serviceAccountName"], account["metadata"]["name"]);
    assert_eq!(daemonset["metadata"]["namespace"], account["metadata"]["namespace"]);
    let subject = &binding["subjects"][0];
    assert_eq!(list(&binding["subjects"]).len(), 1);
    assert_eq!(subject["kind"], "ServiceAccount");
    assert_eq!(subject["name"], account["metadata"]["name"]);
    assert_eq!(subject["namespace"], account["metadata"]["namespace"]);
    assert_eq!(binding["roleRef"]["kind"], "ClusterRole");
    assert_eq!(binding["roleRef"]["name"], object("base/rbac.yaml", "ClusterRole")["metadata"]["name"]);
}

#[test]
fn the_daemonset_selects_its_own_pods_on_every_node() {
    let spec = &object("base/daemonset.yaml", "DaemonSet")["spec"];
    assert_eq!(spec["selector"]["matchLabels"], spec["template"]["metadata"]["labels"]);
    assert_eq!(pod()["tolerations"], serde_json::json!([{ "operator": "Exists" }]));
    assert_eq!(spec["updateStrategy"]["rollingUpdate"]["maxSurge"], 0, "two agents would want one instance");
}

#[test]
fn the_agent_sees_the_node_and_not_its_container() {
    let pod = pod();
    assert_eq!((&pod["hostNetwork"], &pod["hostPID"]), (&Value::Bool(true), &Value::Bool(true)));
    let container = container();
    let mounts: Vec<(&str, &str)> = list(&container["volumeMounts"])
        .iter()
        .map(|mount| {
            let volume = list(&pod["volumes"]).iter().find(|volume| volume["name"] == mount["name"]);
            let host = volume.expect("every mount names a volume")["hostPath"]["path"].as_str().unwrap();
            (host, mount["mountPath"].as_str().unwrap())
        })
        .collect();
    assert_eq!(mounts.len(), list(&pod["volumes"]).len(), "every volume is mounted");
    assert!(mounts.contains(&("/sys/fs/bpf", "/sys/fs/bpf")), "{mounts:?}");
    let args = strings(&container["args"]);
    let cgroup = args.iter().position(|arg| *arg == "--cgroup").map(|index| args[index + 1]).unwrap();
    assert!(mounts.contains(&("/sys/fs/cgroup", cgroup)), "{mounts:?}");
    assert_eq!(args[0], "run");
}

#[test]
fn the_programs_of_probes_and_of_the_clean_up_are_commands_of_the_agents() {
    let probe = &container()["startupProbe"]["exec"]["command"];
    let cleanup = &object("cleanup/daemonset.yaml", "DaemonSet")["spec"]["template"]["spec"]["initContainers"][0];
    assert_eq!(cleanup["image"], container()["image"]);
    assert!(matches!(Cli::try_parse_from(strings(probe)).unwrap().command, Command::Ready(_)));
    let arguments = [&["waggle"], strings(&cleanup["args"]).as_slice()].concat();
    assert!(matches!(Cli::try_parse_from(arguments).unwrap().command, Command::Cleanup(_)));
}

#[test]
fn the_agent_gets_its_node_and_the_api_servers_address() {
    let container = container();
    let expected =
        serde_json::json!([{ "name": "NODE_NAME", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } }]);
    assert_eq!(container["env"], expected);
    let map = &container["envFrom"][0]["configMapRef"];
    assert_eq!(map["optional"], true);
    let readme = read("README.md");
    let create = format!("create configmap {}", map["name"].as_str().unwrap());
    for text in [create.as_str(), "KUBERNETES_SERVICE_HOST=", "KUBERNETES_SERVICE_PORT=", "--api-server https://"] {
        assert!(readme.contains(text), "README.md lacks {text:?}");
    }
}

#[test]
fn the_kustomization_covers_every_manifest_and_the_image() {
    let kustomization = object("kustomization.yaml", "Kustomization");
    assert_eq!(strings(&kustomization["resources"]), ["base"]);
    let base = object("base/kustomization.yaml", "Kustomization");
    let covered: BTreeSet<&str> = strings(&base["resources"]).into_iter().collect();
    let files = names("base");
    assert_eq!(covered, files.iter().map(String::as_str).filter(|name| *name != "kustomization.yaml").collect());
    let image = &kustomization["images"][0];
    let used = format!("{}:{}", image["name"].as_str().unwrap(), image["newTag"].as_str().unwrap());
    assert_eq!(container()["image"], used);
    assert_eq!(image["newTag"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_image_is_built_from_every_folder_of_the_workspace() {
    let text = read("Containerfile");
    let copied = text.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|line| !line.starts_with("--from"));
    let sources: Vec<&str> = copied.flat_map(|line| line.split(' ').rev().skip(1)).collect();
    let members =
        read("../Cargo.toml").lines().find_map(|line| line.strip_prefix("members = ").map(str::to_owned)).unwrap();
    let needed = members.split('"').skip(1).step_by(2).map(|member| member.split('/').next().unwrap());
    assert!(needed.chain(["Cargo.lock"]).all(|name| sources.contains(&name)), "{sources:?} lack one of {members}");
    assert!(sources.iter().all(|source| folder().join("..").join(source).exists()), "{sources:?} are not all there");
}

#[test]
fn the_files_that_the_readme_lists_are_the_files() {
    let text = read("README.md");
    let listed = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let listed: BTreeSet<_> = listed.map(|name| name.trim_end_matches('/').to_owned()).collect();
    // A file that bundles the files of its folder needs no line.
    let bundled = |folder: &'static str| names(folder).into_iter().map(move |name| format!("{folder}/{name}"));
    let above = names("").into_iter().filter(|name| !["README.md", "base", "overlays"].contains(&name.as_str()));
    let base = bundled("base").filter(|name| name != "base/kustomization.yaml");
    assert_eq!(listed, above.chain(base).chain(bundled("overlays")).collect());
}
