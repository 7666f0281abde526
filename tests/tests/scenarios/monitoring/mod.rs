//! `deploy/monitoring` with a real Prometheus: rules, alerts, dashboard. Skipped without Debian's package `prometheus`.

mod prometheus;
mod queries;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use harness::lab::scratch;
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/monitoring")
}

fn yaml(file: &str) -> Value {
    let text = fs::read_to_string(folder().join(file)).expect("read a file of deploy/monitoring");
    serde_saphyr::from_str(&text).expect("YAML")
}

fn dashboard() -> Value {
    let text = fs::read_to_string(folder().join("dashboard.json")).expect("read the dashboard");
    serde_json::from_str(&text).expect("JSON")
}

/// Whether Prometheus is installed. Prints a line if it is not.
fn is_there() -> bool {
    let found = ["prometheus", "promtool"].into_iter().all(|program| {
        let version = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    });
    if !found {
        println!("skipped: prometheus and promtool are missing (apt-get install prometheus)");
    }
    found
}

/// Runs promtool in the folder; returns whether it succeeded and what it said.
fn promtool(arguments: &[&str], input: Option<&str>) -> (bool, String) {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(folder()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("start promtool");
    child.stdin.take().expect("its input").write_all(input.unwrap_or_default().as_bytes()).expect("write its input");
    let output = child.wait_with_output().expect("wait for promtool");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// The rules of `rules.yaml`.
fn rules() -> Vec<Value> {
    let rules = yaml("rules.yaml");
    let groups = rules["groups"].as_array().expect("groups").iter();
    groups.flat_map(|group| group["rules"].as_array().expect("rules").clone()).collect()
}

#[test]
fn rules_and_their_tests_are_right() {
    if !is_there() {
        return;
    }
    for arguments in [["check", "rules", "rules.yaml"], ["test", "rules", "rules-test.yaml"]] {
        let (success, text) = promtool(&arguments, None);
        assert!(success, "{text}");
    }
    let tests = fs::read_to_string(folder().join("rules-test.yaml")).expect("read the tests");
    for alert in rules().iter().filter_map(|rule| rule["alert"].as_str()) {
        assert!(tests.contains(&format!("alertname=\"{alert}\"")), "no test shows that {alert} fires");
    }
}

#[test]
fn alerts_say_what_to_do() {
    for rule in rules().iter().filter(|rule| !rule["alert"].is_null()) {
        for annotation in ["summary", "description", "runbook"] {
            let text = rule["annotations"][annotation].as_str().unwrap_or_default();
            assert!(text.len() > 20, "{} lacks {annotation}", rule["alert"]);
        }
        assert!(["critical", "warning"].contains(&rule["labels"]["severity"].as_str().unwrap_or_default()), "{rule}");
    }
}

#[test]
fn the_configuration_for_scraping_is_one_of_prometheus() {
    if !is_there() {
        return;
    }
    let mut configuration = yaml("scrape.yaml");
    let job = configuration["scrape_configs"][0].as_object_mut().expect("a job");
    assert_eq!(job["job_name"], "waggle", "the job that the rules name");
    // Debian builds Prometheus without it.
    job.remove("kubernetes_sd_configs").expect("how Pods are found");
    let here = folder().canonicalize().expect("the folder");
    configuration["rule_files"] = vec![here.join("rules.yaml").display().to_string()].into();
    let file = scratch("scrape.yaml");
    fs::write(&file, configuration.to_string()).expect("write it");
    let (success, text) = promtool(&["check", "config", &file.display().to_string()], None);
    fs::remove_file(&file).expect("remove it");
    assert!(success, "{text}");
}

#[test]
fn the_component_has_every_file_and_opens_the_port() {
    let component = yaml("kustomization.yaml");
    assert_eq!(component["kind"], "Component");
    let files: Vec<&str> = component["configMapGenerator"]
        .as_array()
        .expect("generators")
        .iter()
        .map(|generator| generator["files"][0].as_str().expect("a file"))
        .collect();
    assert_eq!(files, ["rules.yaml", "dashboard.json"]);
    let patch: Value =
        serde_saphyr::from_str(component["patches"][0]["patch"].as_str().expect("a patch")).expect("YAML");
    assert_eq!(patch[1]["value"], "--metrics-bind-address=[::]:10249");
    assert_eq!(patch[0]["value"], "run", "the first argument of the agent's container");
}
