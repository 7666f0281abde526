//! Each value of the chart changes exactly the fields that it is for.

use std::fs;

use clap::Parser as _;
use proxy_userspace::commands::cli::{Cli, Command};
use serde_json::{Value, json};

use super::{
    changes::changes,
    render::{Objects, Renderer, deploy},
    same::pairs,
};

/// What a set of values changes.
pub struct Row {
    /// Values that are given before, too.
    given: Value,
    /// The values that are tried.
    tried: Value,
    /// Fields of the DaemonSet's pods, and their values with them. Null: the field goes.
    fields: Vec<(&'static str, Value)>,
}

impl Row {
    fn new<const N: usize>(tried: Value, fields: [(&'static str, Value); N]) -> Self {
        Self { given: json!({}), tried, fields: fields.into() }
    }

    fn after(self, given: Value) -> Self {
        Self { given, ..self }
    }

    /// All values of the row.
    pub fn values(&self) -> Value {
        merged(self.given.clone(), &self.tried)
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

/// The pods' fields.
const POD: &str = "DaemonSet/waggle/spec/template/spec/";

/// The fields of the DaemonSet itself and of ConfigMaps, which rows name in full.
fn full(field: &str) -> String {
    if field.starts_with("DaemonSet/") || field.starts_with("ConfigMap/") || field.starts_with("ServiceMonitor/") {
        return field.to_owned();
    }
    format!("{POD}{field}")
}

/// The rows. The container's arguments with default values are five, of which none changes.
pub fn rows() -> Vec<Row> {
    const ARGUMENT: &str = "containers/0/args/5";
    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let monitoring = |values: Value| json!({ "monitoring": values });
    let argument = |values: Value, text: &str| Row::new(values, [(ARGUMENT, json!(text))]);
    vec![
        Row::new(
            json!({ "image": { "repository": "registry.example/waggle" } }),
            [("containers/0/image", json!("registry.example/waggle:0.1.0"))],
        ),
        Row::new(json!({ "image": { "tag": "0.2.0" } }), [("containers/0/image", json!("waggle:0.2.0"))]),
        Row::new(
            json!({ "image": { "tag": "0.2.0", "digest": DIGEST } }),
            [("containers/0/image", json!(format!("waggle@{DIGEST}")))],
        ),
        Row::new(json!({ "image": { "pullPolicy": "Always" } }), [("containers/0/imagePullPolicy", json!("Always"))]),
        Row::new(json!({ "imagePullSecrets": [{ "name": "key" }] }), [("imagePullSecrets/0/name", json!("key"))]),
        argument(json!({ "apiServer": { "host": "192.0.2.10" } }), "--api-server=https://192.0.2.10:6443"),
        argument(
            json!({ "apiServer": { "host": "2001:db8::1", "port": 443 } }),
            "--api-server=https://[2001:db8::1]:443",
        ),
        Row::new(
            json!({ "kubeProxyConfigMap": "own" }),
            [
                (ARGUMENT, json!("--config=/var/lib/kube-proxy/config.conf")),
                ("containers/0/volumeMounts/3/mountPath", json!("/var/lib/kube-proxy")),
                ("containers/0/volumeMounts/3/name", json!("kube-proxy")),
                ("containers/0/volumeMounts/3/readOnly", json!(true)),
                ("volumes/3/configMap/name", json!("own")),
                ("volumes/3/name", json!("kube-proxy")),
            ],
        ),
        Row::new(
            json!({ "udpTermination": false }),
            [
                (ARGUMENT, json!("--udp-termination=false")),
                ("containers/0/securityContext/capabilities/add/3", json!(null)),
                ("containers/0/securityContext/capabilities/add/4", json!(null)),
                ("hostPID", json!(null)),
            ],
        ),
        argument(json!({ "extraArgs": ["--external-ip-cidrs=none"] }), "--external-ip-cidrs=none"),
        // The last one counts.
        Row::new(
            json!({ "extraArgs": ["--metrics-bind-address=192.0.2.1:10249"] }),
            [("containers/0/args/6", json!("--metrics-bind-address=192.0.2.1:10249"))],
        )
        .after(monitoring(json!({ "openPort": true }))),
        Row::new(
            json!({ "extraEnv": [{ "name": "WAGGLE_LOG", "value": "debug" }] }),
            [("containers/0/env/1/name", json!("WAGGLE_LOG")), ("containers/0/env/1/value", json!("debug"))],
        ),
        Row::new(
            json!({ "cgroup": "/sys/fs/cgroup/unified" }),
            [("volumes/1/hostPath/path", json!("/sys/fs/cgroup/unified"))],
        ),
        Row::new(
            json!({ "maxUnavailable": 1 }),
            [("DaemonSet/waggle/spec/updateStrategy/rollingUpdate/maxUnavailable", json!(1))],
        ),
        Row::new(json!({ "priorityClassName": "" }), [("priorityClassName", json!(null))]),
        Row::new(json!({ "nodeSelector": { "role": "edge" } }), [("nodeSelector/role", json!("edge"))]),
        Row::new(
            json!({ "tolerations": [{ "key": "edge", "operator": "Exists" }] }),
            [("tolerations/0/key", json!("edge"))],
        ),
        Row::new(
            json!({ "podAnnotations": { "example.org/team": "net" } }),
            [("DaemonSet/waggle/spec/template/metadata/annotations/example.org~1team", json!("net"))],
        ),
        Row::new(
            json!({ "resources": { "requests": { "memory": "1Gi" } } }),
            [("containers/0/resources/requests/memory", json!("1Gi"))],
        ),
        argument(monitoring(json!({ "openPort": true })), "--metrics-bind-address=[::]:10249"),
        Row::new(
            monitoring(json!({ "dashboardLabels": { "team": "net" } })),
            [("ConfigMap/waggle-grafana-dashboard/metadata/labels/team", json!("net"))],
        )
        .after(monitoring(json!({ "dashboard": true }))),
        Row::new(
            monitoring(json!({ "operatorLabels": { "release": "prometheus" } })),
            [("ServiceMonitor/waggle/metadata/labels/release", json!("prometheus"))],
        )
        .after(monitoring(json!({ "openPort": true, "serviceMonitor": true }))),
    ]
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
        let (before, after) = (renderer.chart(&row.given).unwrap(), renderer.chart(&row.values()).unwrap());
        let found: Vec<_> = changes(&before, &after).into_iter().map(|(field, (_, now))| (field, now)).collect();
        let wanted: Vec<_> = row.fields.iter().map(|(field, now)| (full(field), now.clone())).collect();
        assert_eq!(found, wanted, "{}", row.tried);
        let arguments = arguments(&after, "waggle");
        let parsed = Cli::try_parse_from(["waggle".to_owned()].into_iter().chain(arguments));
        assert!(matches!(parsed.unwrap().command, Command::Run(_)), "{}", row.tried);
    }
}

#[test]
fn an_instance_of_another_name_has_objects_and_pods_of_its_own() {
    let Some(renderer) = Renderer::find() else { return };
    let objects = renderer.chart(&json!({ "instance": "blue" })).unwrap();
    let names: Vec<_> = objects.keys().map(|name| name.split_once('/').unwrap().1).collect();
    assert_eq!(names, ["waggle-blue"; 4]);
    let spec = &objects["DaemonSet/waggle-blue"]["spec"];
    let own = json!({ "app.kubernetes.io/name": "waggle-blue" });
    assert_eq!((&spec["selector"]["matchLabels"], &spec["template"]["metadata"]["labels"]), (&own, &own));
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
    ];
    for (values, name) in wrong {
        let error = renderer.chart(&values).expect_err(&values.to_string());
        assert!(error.contains(name), "{values}: {error}");
    }
}

#[test]
fn every_value_is_tried() {
    let instance = json!({ "instance": "blue" });
    let rule = json!({ "monitoring": { "prometheusRule": true } });
    let tried: Vec<_> = rows().iter().map(Row::values).chain(pairs().map(|(_, values)| values)).collect();
    for value in super::chart::values() {
        let is_tried = tried.iter().chain([&instance, &rule]).any(|values| values.pointer(&value).is_some());
        assert!(is_tried, "no test shows what {value} changes");
    }
}
