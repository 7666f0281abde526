//! Every command that a page has its reader type is typed by a test, which takes it from the page, or is listed here with who runs
//! it or the reason why it is not run. Commands are the lines of code blocks without a language.

use std::{collections::BTreeSet, process::Command};

use harness::lab::typed::{self, Page};

use super::{pages, read, root, rust_files, sources, test_names};

/// Who runs a command that no test takes from its page by the heading.
#[derive(Clone, Copy)]
pub(super) enum Runner {
    /// This test, which reads all of the page's commands that begin so.
    Reads(&'static str),
    /// `.ci/run`, in the same words.
    Ci,
    /// This script, in the same words.
    Script(&'static str),
    /// None, for this reason; but it is checked that the command line can be parsed, and that tests which it names are there:
    /// `cargo xtask lint` parses those of `cargo xtask`, `command_lines.rs` those of `waggle`.
    Parses(&'static str),
    /// None, for this reason.
    No(&'static str),
}

use Runner::{Ci, No, Parses, Reads, Script};

const BUILD: Runner =
    No("`cargo xtask run` and `cargo xtask dist`, which CI and releases run, build it with other flags");
const CONTAINERFILE: Runner =
    No("the cluster's tests need no container engine: `cargo xtask cluster up --containerfile` builds the \
                                  same file by buildah, from base images of registries");
pub(super) const DIST: &str = "xtask/src/dist/dist-check.sh";
const CILIUM: Runner = No("the page says that no test here runs Cilium");
const EXAMPLE: Runner = Parses("an example, with names of objects that are in no cluster");
const PAGES: &str = "every_command_of_the_pages_runs_on_a_node";
const PUSH: Runner = No("the registry is the reader's");
const SETUP: Runner =
    Parses("commands that need something install it by themselves: those of `.ci/run` begin with that");
const SUITE: Runner = Parses("a part of what `.ci/run` runs as a whole");
const UNTRIED: Runner = No("the page says that kind and k3s have not been tried: their images can't be had here");

/// The commands of a page that begin so, and who runs them. The first line that fits counts.
const COMMANDS: &[(&str, &str, Runner)] = &[
    ("README.md", "cargo xtask cluster e2e --all", Parses("it takes an hour: docs/conformance.md has its results")),
    ("README.md", "cargo xtask", Ci),
    ("CONTRIBUTING.md", "cargo xtask setup", SETUP),
    ("CONTRIBUTING.md", "cargo xtask lint", Ci),
    ("CONTRIBUTING.md", "cargo xtask test s24_", SUITE),
    ("CONTRIBUTING.md", "cargo xtask test sockets::", SUITE),
    ("CONTRIBUTING.md", "cargo xtask test", Ci),
    ("CONTRIBUTING.md", "WAGGLE_ROW=", SUITE),
    ("CONTRIBUTING.md", "cargo xtask vm", SUITE),
    ("CONTRIBUTING.md", "cargo xtask docs", Parses("lint compares what it would write with docs/reference.md")),
    ("deploy/README.md", "podman build", CONTAINERFILE),
    ("deploy/README.md", "podman push", PUSH),
    ("docs/benchmarks.md", "cargo xtask bench", Parses("it takes a quarter of an hour, and needs an idle machine")),
    (
        "docs/commands.md",
        "waggle capture",
        Parses("the kernels that allow it run in an emulated machine, where tests capture with other names"),
    ),
    ("docs/commands.md", "waggle", Reads(PAGES)),
    ("docs/explain.md", "waggle explain", Reads("explain_page_shows_what_the_command_prints")),
    ("docs/install.md", "podman build", CONTAINERFILE),
    ("docs/install.md", "podman push", PUSH),
    ("docs/install.md", "skopeo copy", PUSH),
    (
        "docs/install.md",
        "kubeadm init --skip-phases",
        No("`cargo xtask cluster up` starts the control plane's parts by itself"),
    ),
    ("docs/install.md", "printf", UNTRIED),
    ("docs/install.md", "kind", UNTRIED),
    ("docs/install.md", "for node in $(kind get nodes)", UNTRIED),
    ("docs/install.md", "docker", UNTRIED),
    ("docs/install.md", "helm install waggle deploy/chart -n kube-system --set apiServer.host=kind", UNTRIED),
    ("docs/install.md", "curl -sfL https://get.k3s.io", UNTRIED),
    ("docs/install.md", "export KUBECONFIG", UNTRIED),
    (
        "docs/install.md",
        "helm install waggle deploy/chart -n kube-system --set image.repository=REGISTRY/waggle --set apiServer.host=127.0.0.1",
        UNTRIED,
    ),
    ("docs/install.md", "cargo xtask setup", SETUP),
    ("docs/install.md", "cargo build", BUILD),
    ("docs/install.md", "install target/release/waggle", Script(DIST)),
    ("docs/install.md", "waggle run --manifests", Script(DIST)),
    (
        "docs/install.md",
        "waggle run --kubeconfig",
        Parses("scenarios with an API server start agents with these flags and more"),
    ),
    ("docs/maps.md", "bpftool", Reads("every_command_that_waggle_bpftool_prints_dumps_something")),
    ("docs/migrate.md", "helm upgrade cilium", CILIUM),
    ("docs/migrate.md", "kubectl -n kube-system rollout status daemonset/cilium", CILIUM),
    ("docs/migrate.md", "kubectl -n kube-system exec daemonset/cilium", CILIUM),
    ("docs/operate.md", "", Reads(PAGES)),
    ("docs/page.md", "waggle run --page", Parses("scenarios with a browser start agents with this flag and more")),
    ("docs/page.md", "ssh", No("there is no second machine here that accepts SSH")),
    ("docs/reference.md", "waggle completion", Parses("they write into folders of shells that need not be here")),
    ("docs/reference.md", "waggle", EXAMPLE),
    ("docs/reliability.md", "cargo xtask soak", Parses("it takes an hour: `.ci/run` runs it for three minutes")),
    ("docs/security.md", "cargo xtask fuzz", Parses("it takes ten minutes: a unit test gives each target its seeds")),
    (
        "docs/standalone.md",
        "dpkg --install",
        No("`cargo xtask dist --check` installs the package by this command, from another folder"),
    ),
    ("docs/standalone.md", "cargo build", BUILD),
    ("docs/standalone.md", "install -m", Script(DIST)),
    ("docs/standalone.md", "mkdir", Script(DIST)),
    ("docs/standalone.md", "cp", Script(DIST)),
    ("docs/standalone.md", "systemctl", Script(DIST)),
    ("docs/standalone.md", "waggle validate", Reads("the_transcripts_of_validate_are_what_it_prints")),
    ("docs/standalone.md", "sed 's", Reads("the_transcripts_of_validate_are_what_it_prints")),
    ("docs/troubleshoot.md", "", Reads(PAGES)),
];

/// The folders with tests that take commands from pages.
const TESTS: [&str; 2] = ["tests/tests", "tests/cluster/src"];

/// Returns the calls of [`Page::commands`] in a source: the page's path, the heading, and how the commands begin.
fn calls(source: &str) -> Vec<(&'static str, String, String)> {
    let call = |page: Page, rest: &str| {
        let rest = rest.trim_start().strip_prefix(".commands")?.trim_start_matches("::<").split_once('(')?.1;
        let parts: Vec<_> = rest.splitn(5, '"').collect();
        let [before, heading, between, start, _] = parts[..] else { return None };
        let is_call = before.trim().is_empty() && between.trim() == ",";
        is_call.then(|| (page.path(), heading.to_owned(), start.to_owned()))
    };
    let of_page = |page: Page| {
        let name = format!("Page::{page:?}");
        source.split(&name).skip(1).filter_map(|rest| call(page, rest)).collect::<Vec<_>>()
    };
    Page::ALL.into_iter().flat_map(of_page).collect()
}

#[test]
fn every_command_of_the_pages_is_run_or_says_why_not() {
    let calls = calls(&sources(&TESTS));
    let pages: Vec<_> = pages().into_iter().map(|(page, _)| (typed::all(&page).unwrap(), page)).collect();
    let of = |page: &str, command: &typed::Command| {
        calls.iter().any(|(of, heading, start)| {
            *of == page && *heading == command.heading && command.line.starts_with(start.as_str())
        })
    };
    let typed_by_tests: BTreeSet<_> = pages
        .iter()
        .flat_map(|(commands, page)| commands.iter().filter(|command| of(page, command)))
        .map(|command| command.line.as_str())
        .collect();
    assert!(typed_by_tests.len() > 40, "{typed_by_tests:?}");
    let (mut used, mut faults) = (BTreeSet::new(), Vec::new());
    for (commands, page) in &pages {
        // A test types the same words once, though several pages have them.
        for line in commands.iter().map(|command| command.line.as_str()).filter(|line| !typed_by_tests.contains(line)) {
            match COMMANDS.iter().position(|(of, start, _)| of == page && line.starts_with(start)) {
                Some(index) => {
                    used.insert(index);
                    let (_, start, runner) = COMMANDS[index];
                    faults.extend(fault(runner, page, start, line).map(|fault| format!("{page}: {line}: {fault}")));
                }
                None => faults
                    .push(format!("{page}: {line}: no test takes it from the page, and it is not in the list above")),
            }
        }
    }
    let stale = COMMANDS.iter().enumerate().filter(|(index, _)| !used.contains(index));
    faults.extend(
        stale.map(|(_, (page, start, _))| format!("{page}: {start}: the page has no other commands that begin so")),
    );
    let is_called = |(of, heading, start): &&(&str, String, String)| {
        let (commands, _) = pages.iter().find(|(_, page)| page == of).unwrap();
        commands.iter().any(|command| command.heading == *heading && command.line.starts_with(start.as_str()))
    };
    let vain = calls.iter().filter(|call| !is_called(call));
    faults.extend(
        vain.map(|(page, heading, start)| format!("{page}, {heading}: a test types {start}, which is not there")),
    );
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Returns what is wrong with a claim about a command.
pub(super) fn fault(runner: Runner, page: &str, start: &str, line: &str) -> Option<String> {
    match runner {
        Reads(test) => (!reads(test, page, start))
            .then(|| format!("the file of the test {test} does not name the page and {start}")),
        Ci => (!is_in_ci(line)).then(|| "not in .ci/run".to_owned()),
        Script(file) => {
            let is_there = read(file).lines().any(|own| own.trim_end_matches(" &") == line);
            (!is_there).then(|| format!("not in {file}"))
        }
        Parses(reason) => test_names::none_selected(line).or_else(|| reason.is_empty().then(|| "no reason".to_owned())),
        No(reason) => reason.is_empty().then(|| "no reason".to_owned()),
    }
}

/// Whether a test is in a file that names the page, and how the commands begin.
fn reads(test: &str, page: &str, start: &str) -> bool {
    let name = page.rsplit('/').next().unwrap_or(page);
    let variant = Page::ALL.into_iter().find(|known| known.path() == page).map(|known| format!("Page::{known:?}"));
    rust_files("tests/tests").iter().any(|(_, source)| {
        let names_page = source.contains(name) || variant.as_ref().is_some_and(|variant| source.contains(variant));
        source.contains(&format!("fn {test}(")) && names_page && source.contains(start)
    })
}

/// Whether `.ci/run` has a command, or takes it from the README.
fn is_in_ci(line: &str) -> bool {
    let output = Command::new(root().join(".ci/readme-commands")).output().unwrap();
    let from_readme = String::from_utf8(output.stdout).unwrap();
    let script = read(".ci/run");
    let mut parts =
        script.lines().filter(|own| !own.trim_start().starts_with('#')).filter_map(|own| own.split_once(line));
    let is_whole = |(_, rest): (&str, &str)| rest.is_empty() || rest.starts_with(" ||");
    from_readme.lines().any(|own| own == line) || parts.any(is_whole)
}
