//! Each value of the chart changes exactly the fields that it is for.

use std::{collections::BTreeMap, fs};

use clap::Parser as _;
use proxy_userspace::commands::cli::{Cli, Command};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    changes::changes,
    render::{Objects, Renderer, deploy},
    same::pairs,
};

/// A row of `values.yaml`: what a set of values changes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Values that are given before, too.
    #[serde(default)]
    given: Map<String, Value>,
    /// The values that are tried.
    tried: Value,
    /// Fields, and their values with them. Null: the field goes.
    fields: BTreeMap<String, Value>,
}

impl Row {
    fn given(&self) -> Value {
        self.given.clone().into()
    }

    /// All values of the row.
    pub fn values(&self) -> Value {
        merged(self.given(), &self.tried)
    }
}

/// As Helm merges values.
fn merged(below: Value, above: &Value) -> Value {
    match (below, above) {
        (Value::Object(mut members), Value::Object(above)) => {
            for (name, value) in above {
                let member = members.remove(name).unwrap_or_default();
                members.insert(name.clone(), merged(member, value));
            }
            Value::Object(members)
        }
        (_, above) => above.clone(),
    }
}

/// The rows of `values.yaml`.
pub fn rows() -> Vec<Row> {
    serde_saphyr::from_str(include_str!("values.yaml")).unwrap()
}

/// A field's name with the object's kind and name.
fn full(field: &str) -> String {
    let has_object = ["DaemonSet/", "ConfigMap/", "NetworkPolicy/", "ServiceAccount/", "ServiceMonitor/"]
        .iter()
        .any(|kind| field.starts_with(kind));
    if has_object { field.to_owned() } else { format!("DaemonSet/waggle/spec/template/spec/{field}") }
}

/// The agent's arguments.
fn arguments(objects: &Objects, name: &str) -> Vec<String> {
    let container = &objects[&format!("DaemonSet/{name}")]["spec"]["template"]["spec"]["containers"][0];
    serde_json::from_value(container["args"].clone()).unwrap()
}

#[test]
fn each_value_changes_what_it_is_for() {
    let Some(renderer) = Renderer::find() else { return };
    for row in rows() {
        let before = renderer.chart(&row.given()).unwrap();
        let after = renderer.chart(&row.values()).unwrap();
        let found: BTreeMap<_, _> =
            changes(&before, &after).into_iter().map(|(field, (_, now))| (field, now)).collect();
        let wanted: BTreeMap<_, _> = row.fields.iter().map(|(field, now)| (full(field), now.clone())).collect();
        assert_eq!(found, wanted, "{}", row.tried);
        let arguments = arguments(&after, "waggle");
        let parsed = Cli::try_parse_from(["waggle".to_owned()].into_iter().chain(arguments));
        assert!(matches!(parsed.unwrap().command, Command::Run(_)), "{}", row.tried);
    }
}

#[test]
fn an_instance_of_another_name_has_objects_and_pods_of_its_own() {
    let Some(renderer) = Renderer::find() else { return };
    let objects = renderer.chart(&json!({ "instance": "blue", "networkPolicy": { "enabled": true } })).unwrap();
    let names: Vec<_> = objects.keys().map(|name| name.split_once('/').unwrap().1).collect();
    assert_eq!(names, ["waggle-blue"; 5]);
    let spec = &objects["DaemonSet/waggle-blue"]["spec"];
    let own = json!({ "app.kubernetes.io/name": "waggle", "app.kubernetes.io/instance": "waggle-blue" });
    assert_eq!((&spec["selector"]["matchLabels"], &spec["template"]["metadata"]["labels"]), (&own, &own));
    assert_eq!(objects["NetworkPolicy/waggle-blue"]["spec"]["podSelector"]["matchLabels"], own);
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], "waggle-blue");
    assert_eq!(arguments(&objects, "waggle-blue")[5], "--instance=blue");
    let probe = &pod["containers"][0]["startupProbe"]["exec"]["command"];
    assert_eq!(*probe, json!(["waggle", "ready", "--instance=blue"]));
    let binding = &objects["ClusterRoleBinding/waggle-blue"];
    assert_eq!(
        (&binding["roleRef"]["name"], &binding["subjects"][0]["name"]),
        (&json!("waggle-blue"), &json!("waggle-blue"))
    );
}

#[test]
fn the_prometheus_operators_rule_has_all_rules() {
    let Some(renderer) = Renderer::find() else { return };
    let objects = renderer.chart(&json!({ "monitoring": { "prometheusRule": true } })).unwrap();
    let rules: Value = serde_saphyr::from_str(&fs::read_to_string(deploy("monitoring/rules.yaml")).unwrap()).unwrap();
    assert_eq!(objects["PrometheusRule/waggle"]["spec"], rules);
    let components = renderer.kustomization("overlays/prometheus-operator");
    assert_eq!(
        components["PrometheusRule/waggle"]["spec"], rules,
        "deploy/monitoring/operator/prometheus-rule.yaml has below `spec` what rules.yaml has, two spaces further in"
    );
}

#[test]
fn wrong_values_are_refused_and_named() {
    let Some(renderer) = Renderer::find() else { return };
    let wrong = [
        (json!({ "imgae": {} }), "imgae"),
        (json!({ "monitoring": { "open": true } }), "open"),
        (json!({ "udpTermination": "no" }), "udpTermination"),
        (json!({ "instance": "A.b" }), "instance"),
        (json!({ "maxUnavailable": 0 }), "maxUnavailable"),
        (json!({ "apiServer": { "host": "https://192.0.2.10" } }), "host"),
        (json!({ "apiServer": { "port": 65536 } }), "port"),
        (json!({ "image": { "digest": "0.1.0" } }), "digest"),
        (json!({ "monitoring": { "serviceMonitor": true } }), "monitoring.openPort"),
        (json!({ "networkPolicy": { "metricsFrom": [{ "namespaceselector": {} }] } }), "namespaceselector"),
        (json!({ "networkPolicy": { "healthFrom": [{ "ipBlock": { "except": [] } }] } }), "cidr"),
        (json!({ "networkPolicy": { "healthFrom": [{}] } }), "healthFrom"),
        (json!({ "networkPolicy": { "healthFrom": [{ "podSelector": { "matchLabel": {} } }] } }), "matchLabel"),
        (json!({ "networkPolicy": { "nodePortRange": "30000" } }), "nodePortRange"),
        (json!({ "networkPolicy": { "nodePortRange": "65535-65536" } }), "nodePortRange"),
        (json!({ "networkPolicy": { "enabled": true, "nodePortRange": "30001-30000" } }), "nodePortRange"),
        (json!({ "resources": { "request": {} } }), "request"),
        (json!({ "resources": { "requests": { "cpus": 1 } } }), "cpus"),
        (json!({ "resources": { "limits": { "memory": "1 Gi" } } }), "memory"),
        (json!({ "tolerations": [{ "keys": "edge" }] }), "keys"),
        (json!({ "tolerations": [{ "effect": "noSchedule" }] }), "effect"),
        (json!({ "extraEnv": [{ "name": "A", "vaule": "b" }] }), "vaule"),
        (json!({ "extraEnv": [{ "name": "A", "valueFrom": { "secretRef": {} } }] }), "secretRef"),
        (json!({ "extraArgs": ["--instance=blue"] }), "the value instance"),
        (json!({ "extraArgs": ["--udp-termination", "false"] }), "the value udpTermination"),
        (json!({ "extraArgs": ["--cgroup", "/sys/fs/cgroup"] }), "the value cgroup"),
        (json!({ "podLabels": { "app.kubernetes.io/name": "other" } }), "app.kubernetes.io/name"),
        (json!({ "updateStrategy": { "type": "OnDelete" } }), "updateStrategy"),
        (json!({ "monitoring": { "interval": "30" } }), "interval"),
    ];
    for (values, name) in wrong {
        let error = renderer.chart(&values).expect_err(&values.to_string());
        assert!(error.contains(name), "{values}: {error}");
    }
}

#[test]
fn an_image_that_is_not_named_is_refused_with_what_to_do() {
    let Some(renderer) = Renderer::find() else { return };
    let error = renderer.chart_as_it_is(&json!({})).unwrap_err();
    assert!(error.contains("image.repository is not set") && error.contains("docs/install.md"), "{error}");
}

#[test]
fn every_value_is_tried() {
    let instance = json!({ "instance": "blue" });
    let tried: Vec<_> = rows().iter().map(Row::values).chain(pairs().map(|(_, values)| values)).collect();
    for value in super::chart::values() {
        let is_tried = tried.iter().chain([&instance]).any(|values| values.pointer(&value).is_some());
        assert!(is_tried, "no test shows what {value} changes");
    }
}
