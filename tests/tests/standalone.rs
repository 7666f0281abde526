//! Waggle without a cluster: the examples in `deploy/standalone` are valid, docs/standalone.md shows what `waggle validate` prints,
//! and the systemd unit agrees with the DaemonSet. Needs no root.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use clap::Parser as _;
use harness::lab::find_program;
use proxy_userspace::commands::cli::{self, Cli};
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(file: &str) -> String {
    let path = root().join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}

/// The folders of the examples.
fn examples() -> BTreeSet<String> {
    let entries = fs::read_dir(root().join("deploy/standalone")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Runs a line of a transcript in the repository's folder. Returns the exit code and all output.
fn run(line: &str) -> (Option<i32>, String) {
    let waggle = find_program("waggle", "WAGGLE_BIN").unwrap();
    let path = format!("{}:{}", waggle.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh").args(["-c", line]).env("PATH", path).current_dir(root()).output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.code(), text)
}

/// The transcripts in a document: command lines, and what they print.
fn transcripts(text: &str) -> Vec<(&str, String)> {
    let blocks = text.split("```").skip(1).step_by(2);
    let parts = blocks.flat_map(|block| block.split("\n$ ").skip(1));
    let parts = parts.map(|part| part.split_once('\n').unwrap_or((part, "")));
    parts.map(|(line, printed)| (line, format!("{}\n", printed.trim_end()))).collect()
}

#[test]
fn every_example_is_documented_and_all_are_valid_together() {
    let (docs, examples) = (read("docs/standalone.md"), examples());
    for example in &examples {
        assert!(docs.contains(&format!("deploy/standalone/{example}")), "{example} is not in docs/standalone.md");
        let (code, text) = run(&format!("waggle validate deploy/standalone/{example}"));
        assert_eq!(code, Some(0), "{example}: {text}");
        assert!(text.ends_with("; nothing is wrong\n"), "{example}: {text}");
    }
    let (code, text) = run("waggle validate deploy/standalone");
    assert_eq!((code, text.lines().count()), (Some(0), 1), "{text}");
    for (_, named) in docs.match_indices("deploy/standalone/").map(|(at, found)| docs.split_at(at + found.len())) {
        let name: String = named.chars().take_while(|letter| letter.is_ascii_lowercase() || *letter == '-').collect();
        assert!(name.is_empty() || examples.contains(&name), "docs/standalone.md names deploy/standalone/{name}");
    }
}

#[test]
fn the_transcripts_of_validate_are_what_it_prints() {
    let docs = read("docs/standalone.md");
    let shown = transcripts(&docs);
    let is_of_validate = |line: &str| ["waggle validate ", "sed 's"].iter().any(|start| line.starts_with(start));
    let shown: Vec<_> = shown.iter().filter(|(line, _)| is_of_validate(line)).collect();
    assert!(shown.len() >= examples().len(), "{shown:?}");
    for (line, printed) in shown {
        assert_eq!(run(line).1, *printed, "{line}");
    }
}

#[test]
fn a_mistake_fails_and_json_says_where_it_is() {
    let folder = std::env::temp_dir().join(format!("waggle-validate-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("web.yaml");
    fs::write(&file, read("deploy/standalone/two-web-servers/web.yaml").replace("port: 80,", "port: 0,")).unwrap();
    let (code, text) = run(&format!("waggle validate {}", file.display()));
    let (json_code, json) = run(&format!("waggle validate -o json {}", folder.display()));
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!((code, json_code), (Some(1), Some(1)), "{text}{json}");
    assert!(text.starts_with(&format!("{}:11: Service default/web: spec.ports[0].port: ", file.display())), "{text}");
    let report: Value = serde_json::from_str(json.rsplit_once("waggle: ").unwrap().0).unwrap();
    assert_eq!((&report["valid"], &report["findings"][0]["line"]), (&Value::Bool(false), &Value::from(11)), "{report}");
}

const UNIT: &str = "deploy/systemd/waggle.service";

/// The values of a key in the unit.
fn unit_values<'a>(unit: &'a str, key: &'a str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

#[test]
fn the_unit_has_the_capabilities_of_the_daemonset() {
    let daemonset: Value = serde_saphyr::from_str(&read("deploy/base/daemonset.yaml")).unwrap();
    let added = daemonset.pointer("/spec/template/spec/containers/0/securityContext/capabilities/add").unwrap();
    let added: BTreeSet<_> =
        added.as_array().unwrap().iter().map(|name| format!("CAP_{}", name.as_str().unwrap())).collect();
    let unit = read(UNIT);
    let [bounding] = unit_values(&unit, "CapabilityBoundingSet")[..] else { panic!("one set") };
    assert_eq!(bounding.split(' ').map(str::to_owned).collect::<BTreeSet<_>>(), added);
    assert_eq!(unit_values(&unit, "NoNewPrivileges"), ["yes"]);
}

#[test]
fn the_units_commands_are_commands_of_waggle() {
    let unit = read(UNIT);
    let parse = |key: &str| {
        let [line] = unit_values(&unit, key)[..] else { panic!("one {key}") };
        // Variables are empty unless the administrator sets them.
        let words = line.trim_start_matches('-').split(' ').filter(|word| !word.starts_with('$'));
        Cli::try_parse_from(words).unwrap().command
    };
    let (cli::Command::Run(run), cli::Command::Validate(validate)) = (parse("ExecStart"), parse("ExecStartPre")) else {
        panic!("{unit}")
    };
    assert_eq!(validate.paths, [run.source.manifests.unwrap()]);
    assert!(
        unit_values(&unit, "ExecStartPre")[0].starts_with('-'),
        "a mistake in a manifest must not keep the rest from being served"
    );
}

#[test]
fn systemd_accepts_the_unit() {
    let folder = std::env::temp_dir().join(format!("waggle-unit-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file: PathBuf = folder.join("waggle.service");
    // systemd also looks for the program, which need not be installed.
    fs::write(&file, read(UNIT).replace("=waggle ", "=/bin/true ").replace("=-waggle ", "=-/bin/true ")).unwrap();
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file).output();
    fs::remove_dir_all(&folder).unwrap();
    match output {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: systemd-analyze is not installed");
        }
        output => {
            let output = output.unwrap();
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() && text.is_empty(), "{text}");
        }
    }
}
