//! Every command that a page tells its reader to type is run by a test, or is listed here with the reason why it is not.

use std::collections::BTreeSet;

use super::{code, pages, sources};

/// Programs that pages run.
const PROGRAMS: [&str; 24] = [
    "bpftool",
    "cargo",
    "cd",
    "cp",
    "curl",
    "docker",
    "for",
    "helm",
    "install",
    "kind",
    "kubeadm",
    "kubectl",
    "mkdir",
    "mount",
    "nft",
    "podman",
    "printf",
    "sed",
    "source",
    "ss",
    "systemctl",
    "tshark",
    "uname",
    "waggle",
];

/// Who runs a command.
#[derive(Clone, Copy)]
enum Runner {
    /// A test or a scenario of the cluster.
    Test(&'static str),
    /// `.ci/run`.
    Ci,
    /// `cargo xtask dist --check`, in a clean Debian.
    Dist,
    /// None, for this reason.
    No(&'static str),
}

use Runner::{Ci, Dist, No, Test};

const REGISTRY: Runner = No("the registry is the reader's");
const UNTRIED: Runner = No("the page says that kind and k3s have not been tried: their images can't be had here");
const BUILD: Runner = No("the README's commands, which CI runs, build the same with other flags");
const CLUSTER: &str = "kube_proxy_and_waggle_take_over_from_each_other_under_load";
const EXAMPLES: &str = "two_web_servers_share_an_address_also_without_the_agent";
const HELM: &str = "helm_installs_updates_and_removes_the_agents_under_load";
const KUBEADM: &str = "kubeadms_config_map_configures_the_agents";
const PAGES: &str = "every_command_of_the_pages_runs_on_a_node";
const PLUGIN: &str = "the_plugin_of_kubectl_asks_the_agent_of_a_node";

/// The commands of a page that begin so, and who runs them. The first line that fits counts.
const COMMANDS: &[(&str, &str, Runner)] = &[
    ("README.md", "cargo xtask", Ci),
    ("CONTRIBUTING.md", "cargo xtask", Ci),
    ("deploy/README.md", "podman", REGISTRY),
    ("deploy/README.md", "install -m 755 deploy/kubectl-waggle", Test(PLUGIN)),
    ("deploy/README.md", "kubectl waggle", Test(PLUGIN)),
    ("deploy/README.md", "kubectl -n kube-system delete daemonset/kube-proxy", Test(KUBEADM)),
    ("deploy/README.md", "kubectl -n kube-system exec", Test(HELM)),
    ("deploy/README.md", "kubectl", Test(CLUSTER)),
    (
        "deploy/README.md",
        "waggle cleanup",
        Test("s31_what_kube_proxy_has_left_in_nftables_is_removed_and_nothing_is_cut"),
    ),
    (
        "docs/migrate.md",
        "waggle cleanup",
        Test("s31_what_kube_proxy_has_left_in_nftables_is_removed_and_nothing_is_cut"),
    ),
    ("docs/commands.md", "waggle capture", Test("tshark_reads_interfaces_comments_and_times")),
    ("docs/commands.md", "tshark", Test("tshark_reads_interfaces_comments_and_times")),
    ("docs/commands.md", "", Test(PAGES)),
    ("docs/operate.md", "", Test(PAGES)),
    ("docs/troubleshoot.md", "kubectl", Test(HELM)),
    ("docs/troubleshoot.md", "", Test(PAGES)),
    ("docs/maps.md", "", Test("maps_page_shows_what_the_commands_print")),
    ("docs/explain.md", "kubectl", Test(PLUGIN)),
    ("docs/explain.md", "", Test("explain_page_shows_what_the_command_prints")),
    ("docs/reference.md", "source", Test("completion_completes_in_bash")),
    // With names of objects that exist nowhere.
    ("docs/reference.md", "", Test("every_command_of_waggle_in_a_code_block_can_be_typed")),
    (
        "docs/page.md",
        "kubectl",
        No("a port of the cluster's own machine would lead to it: no scenario has a browser there"),
    ),
    ("docs/page.md", "waggle run --page", Test("the_page_shows_services_and_where_their_connections_go")),
    ("docs/reliability.md", "cargo xtask soak", Ci),
    ("docs/security.md", "cargo xtask fuzz", Test("every_target_takes_its_seeds_and_small_changes_of_them")),
    ("docs/standalone.md", "waggle validate", Test("the_transcripts_of_validate_are_what_it_prints")),
    ("docs/standalone.md", "sed 's", Test("the_transcripts_of_validate_are_what_it_prints")),
    ("docs/standalone.md", "sed -i", Test("the_edits_of_the_example_are_those_of_its_scenario")),
    ("docs/standalone.md", "waggle get", Test(EXAMPLES)),
    ("docs/standalone.md", "curl", Test(EXAMPLES)),
    ("docs/standalone.md", "for i in", Test(EXAMPLES)),
    ("docs/standalone.md", "cargo build", BUILD),
    ("docs/standalone.md", "", Dist),
    ("docs/install.md", "podman", REGISTRY),
    ("docs/install.md", "kubectl config view", No("only an administrator's own configuration has an answer")),
    ("docs/install.md", "helm install waggle deploy/chart -n kube-system --set apiServer.host=kind", UNTRIED),
    (
        "docs/install.md",
        "helm install waggle deploy/chart -n kube-system --set image.repository=REGISTRY/waggle \\",
        UNTRIED,
    ),
    ("docs/install.md", "helm", Test(HELM)),
    ("docs/install.md", "kubectl -n kube-system delete daemonset/kube-proxy", Test(KUBEADM)),
    ("docs/install.md", "kubeadm init phase", Test(KUBEADM)),
    ("docs/install.md", "kubeadm init", No("`cargo xtask cluster up` starts the control plane in its own way")),
    ("docs/install.md", "kubectl -n kube-system rollout status daemonset/waggle-cleanup", Test(CLUSTER)),
    ("docs/install.md", "kubectl -n", Test(HELM)),
    ("docs/install.md", "kubectl", Test(CLUSTER)),
    ("docs/install.md", "curl http://NODE", Test(HELM)),
    ("docs/install.md", "nft", Test("the_firewall_of_the_guide_restricts_metrics_and_nothing_else")),
    ("docs/install.md", "cargo xtask setup", Ci),
    ("docs/install.md", "cargo build", BUILD),
    ("docs/install.md", "install", Dist),
    ("docs/install.md", "waggle run --manifests", Test(EXAMPLES)),
    ("docs/install.md", "waggle run --kubeconfig", Ci),
    ("docs/install.md", "", UNTRIED),
];

/// The commands in a page's code blocks: their lines up to a backslash at the end.
fn typed(text: &str) -> impl Iterator<Item = &str> {
    let lines = code(text).map(str::trim);
    let lines = lines.map(|line| line.strip_prefix("$ ").or_else(|| line.strip_prefix("# ")).unwrap_or(line));
    lines.filter(|line| line.split(' ').next().is_some_and(|word| PROGRAMS.contains(&word)))
}

#[test]
fn every_command_of_the_pages_is_run_or_says_why_not() {
    let mut used = BTreeSet::new();
    let mut missing = Vec::new();
    for (page, text) in pages() {
        for line in typed(&text) {
            let found = COMMANDS.iter().position(|(of, start, _)| *of == page && line.starts_with(start));
            match found {
                Some(index) => drop(used.insert(index)),
                None => missing.push(format!("{page}: {line}")),
            }
        }
    }
    assert!(missing.is_empty(), "commands that are not in the list above:\n{}", missing.join("\n"));
    let stale = COMMANDS.iter().enumerate().filter(|(index, _)| !used.contains(index)).map(|(_, command)| &command.1);
    let stale: Vec<_> = stale.collect();
    assert!(stale.is_empty(), "no page has commands that begin so: {stale:?}");
}

#[test]
fn every_test_that_runs_commands_of_the_pages_exists() {
    let sources = sources(&["tests/tests", "tests/cluster/src", "proxy-userspace/src/commands"]);
    for (page, start, runner) in COMMANDS {
        match runner {
            Test(name) => assert!(sources.contains(&format!("fn {name}(")), "{page}: {start}: no test {name}"),
            No(reason) => assert!(!reason.is_empty()),
            Ci | Dist => (),
        }
    }
}
