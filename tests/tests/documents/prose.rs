//! Commands in sentences are those of code blocks, which tests type ([`super::typed`]), or are listed here with the reason why not.

use std::collections::BTreeSet;

use harness::lab::typed;

use super::{
    pages,
    typed::{
        DIST,
        Runner::{self, No, Script},
        fault,
    },
};

/// Programs of the machine and of a cluster.
const PROGRAMS: [&str; 14] = [
    "bpftool",
    "curl",
    "helm",
    "ipvsadm",
    "journalctl",
    "kubeadm",
    "kubectl",
    "mount",
    "nft",
    "podman",
    "ss",
    "ssh",
    "sysctl",
    "systemctl",
];

const CUT_SHORT: Runner = No("its path is cut short: `waggle bpftool` prints it whole, and a test runs that");
const NAME: Runner = No("it names the command, and what it is about is left out");

/// Commands that no code block has, and who runs them.
const OTHERS: &[(&str, Runner)] = &[
    ("bpftool map dump pinned …/counters", CUT_SHORT),
    ("bpftool map lookup pinned …/slots key 0 0 0 0", CUT_SHORT),
    ("bpftool map show", NAME),
    ("journalctl -u waggle", Script(DIST)),
    ("kubectl apply -k", NAME),
    (
        "kubectl apply -k deploy/overlays/kubeadm",
        No(
            "a scenario of the cluster applies what kustomize makes of it, with the cgroup of nodes that share a machine",
        ),
    ),
    (
        "kubectl -n kube-system rollout restart daemonset/kube-proxy",
        No("the cluster of the tests runs kube-proxy as a process of the node"),
    ),
    (
        "kubectl waggle --node NODE get services",
        No("the command of deploy/README.md, which a scenario types, for all namespaces"),
    ),
    (
        "mount -t bpf bpf /sys/fs/bpf",
        No("a second file system there would hide the pins of the machine's own programs"),
    ),
    ("nft flush ruleset", No("what the soak does to its node: no reader needs it")),
    ("sysctl -w kernel.bpf_stats_enabled=1", No("it would slow down all programs of the machine")),
    ("systemctl stop waggle", Script(DIST)),
];

/// Returns the code spans in a page's sentences that are commands with arguments. Two words, as in "kubectl describe", name a
/// command.
fn commands(text: &str) -> impl Iterator<Item = String> {
    let prose = text.split("```").step_by(2).flat_map(|part| part.split('`').skip(1).step_by(2));
    let words = prose.map(|span| span.split_whitespace().collect::<Vec<_>>());
    words.filter(|words| words.len() > 2 && PROGRAMS.contains(&words[0])).map(|words| words.join(" "))
}

#[test]
fn every_command_in_prose_is_that_of_a_code_block_or_says_why_not() {
    let pages = pages();
    let in_blocks = |page: &str| typed::all(page).unwrap().into_iter().map(|command| command.line);
    let in_blocks: BTreeSet<_> = pages.iter().flat_map(|(page, _)| in_blocks(page)).collect();
    let (mut used, mut faults) = (BTreeSet::new(), Vec::new());
    for (page, text) in &pages {
        for line in commands(text).filter(|line| !in_blocks.contains(line)) {
            match OTHERS.iter().find(|(other, _)| *other == line) {
                Some((other, runner)) => {
                    used.insert(other);
                    faults.extend(fault(*runner, page, other, &line).map(|fault| format!("{page}: {line}: {fault}")));
                }
                None => faults.push(format!("{page}: {line}: make a code block, whose commands a test types")),
            }
        }
    }
    let stale = OTHERS.iter().map(|(other, _)| other).filter(|other| !used.contains(other));
    faults.extend(stale.map(|other| format!("{other}: no page has it")));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
