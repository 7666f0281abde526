//! The chart's own files.

use std::fs;

use serde_json::{Value, json};

use super::{
    render::{OLDEST, Renderer, deploy},
    same::pairs,
};

fn read(file: &str) -> String {
    fs::read_to_string(deploy("chart").join(file)).unwrap()
}

/// The JSON pointers of all values, as the schema has them.
pub fn values() -> Vec<String> {
    fn visit(path: &str, schema: &Value, found: &mut Vec<String>) {
        let Some(properties) = schema["properties"].as_object() else { return found.push(path.to_owned()) };
        for (name, part) in properties {
            visit(&format!("{path}/{name}"), part, found);
        }
    }
    let mut schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    // Helm gives it to every chart, and this one has no use for it.
    schema["properties"].as_object_mut().unwrap().remove("global").unwrap();
    let mut found = Vec::new();
    visit("", &schema, &mut found);
    found
}

#[test]
fn every_value_has_a_default_and_a_description() {
    let text = read("values.yaml");
    let defaults: Value = serde_saphyr::from_str(&text).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for value in values() {
        assert!(defaults.pointer(&value).is_some(), "{value} has no default");
        let names: Vec<_> = value.split('/').skip(1).collect();
        let key = format!("{}{}:", "  ".repeat(names.len() - 1), names.last().unwrap());
        let parent = lines.iter().position(|line| *line == format!("{}:", names[0])).filter(|_| names.len() > 1);
        let after = parent.unwrap_or_default();
        let at = after + lines[after..].iter().position(|line| line.starts_with(&key)).unwrap();
        assert!(lines[at - 1].trim_start().starts_with("# "), "{value} has no description");
    }
}

#[test]
fn the_chart_has_the_programs_version() {
    let chart: Value = serde_saphyr::from_str(&read("Chart.yaml")).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!((&chart["version"], &chart["appVersion"]), (&json!(version), &json!(version)));
}

#[test]
fn a_cluster_that_does_not_know_apparmors_field_is_refused() {
    let Some(renderer) = Renderer::find() else { return };
    let error = renderer.chart_for("1.29.9", &json!({})).unwrap_err();
    assert!(error.contains("kubeVersion"), "{error}");
    // A provider's suffix is no pre-release.
    renderer.chart_for(&format!("{OLDEST}-gke.1"), &json!({})).unwrap();
}

#[test]
fn helm_finds_no_fault_with_the_chart() {
    let Some(renderer) = Renderer::find() else { return };
    for (_, values) in pairs() {
        renderer.lint(&values).unwrap_or_else(|message| panic!("{values}: {message}"));
    }
}

#[test]
fn the_guide_names_values_and_folders_that_are_there() {
    let guide =
        ["../docs/install.md", "chart/README.md"].map(|page| fs::read_to_string(deploy(page)).unwrap()).concat();
    let values = values();
    let set = guide.split("--set ").skip(1).map(|rest| rest.trim_start_matches('\'').split('=').next().unwrap());
    let named = guide.split('`').skip(1).step_by(2).map(|word| word.split('=').next().unwrap());
    let groups = ["monitoring.", "networkPolicy.", "page."];
    let grouped = named.filter(|name| groups.iter().any(|group| name.starts_with(group)));
    for name in set.chain(grouped) {
        assert!(values.contains(&format!("/{}", name.replace('.', "/"))), "the chart has no value {name}");
    }
    let folders = guide.split("deploy/").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_alphanumeric() && !"/-.".contains(c)).unwrap();
        rest[..end].trim_end_matches('.')
    });
    for folder in folders {
        assert!(deploy(folder).exists(), "there is no deploy/{folder}");
    }
}
