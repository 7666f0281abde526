use serde_json::json;

use super::*;
use crate::watch::manifests::sample::{assembled, service, shown, slices};

/// Returns a Service with the selector `app: web`, and Pods, given as pairs of name and the rest of the Pod.
fn selected(spec: &str, pods: &[(&str, &str)]) -> String {
    let service =
        format!("apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec: {{selector: {{app: web}}, {spec}}}\n");
    let pod = |(name, rest): &(&str, &str)| {
        format!("---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{app: web, x: y}}}}\n{rest}\n")
    };
    service + &pods.iter().map(pod).collect::<String>()
}

fn ready(ip: &str) -> String {
    format!("status: {{podIP: {ip}, conditions: [{{type: Ready, status: 'True'}}]}}")
}

/// Formats the endpoints of all slices as `ADDRESS PORT/NAME,… CONDITIONS`, the conditions as letters of `rst`.
fn endpoints(text: &str) -> Vec<String> {
    let assembled = assembled(text);
    assert_eq!(shown(&assembled.refusals), Vec::<String>::new());
    let mut lines = Vec::new();
    for slice in slices(&assembled) {
        for endpoint in slice.endpoints.iter().flatten() {
            let ports: Vec<_> = slice.ports.iter().flatten().collect();
            let ports: Vec<_> = ports
                .iter()
                .map(|port| format!("{}/{}", port.port.unwrap_or(0), port.name.as_deref().unwrap_or("?")))
                .collect();
            let address = &endpoint.addresses.as_ref().expect("addresses")[0];
            let conditions = endpoint.conditions.clone().expect("conditions");
            let letter = |condition: Option<bool>, letter: &str| {
                if condition == Some(true) { letter.to_owned() } else { "-".to_owned() }
            };
            let conditions =
                letter(conditions.ready, "r") + &letter(conditions.serving, "s") + &letter(conditions.terminating, "t");
            lines.push(format!("{address} {} {conditions}", ports.join(",")));
        }
    }
    lines.sort();
    lines
}

#[test]
fn s37_pods_of_the_namespace_whose_labels_match_are_endpoints() {
    let text = selected("ports: [{port: 80}]", &[("a", &ready("10.1.0.1")), ("b", &ready("10.1.0.2"))])
        + "---\napiVersion: v1\nkind: Pod\nmetadata: {name: c, labels: {app: other}}\nstatus: {podIP: 10.1.0.3}\n"
        + "---\napiVersion: v1\nkind: Pod\nmetadata: {name: d, namespace: far, labels: {app: web}}\nstatus: {podIP: 10.1.0.4}\n"
        + "---\napiVersion: v1\nkind: Pod\nmetadata: {name: e, labels: {app: web}}\n";
    assert_eq!(endpoints(&text), ["10.1.0.1 80/ rs-", "10.1.0.2 80/ rs-"]);
}

#[test]
fn s37_conditions_follow_the_pod() {
    let pods = [
        ("not-ready", "status: {podIP: 10.1.0.1, conditions: [{type: Ready, status: 'False'}]}"),
        ("silent", "status: {podIP: 10.1.0.2}"),
        ("done", "status: {podIP: 10.1.0.3, phase: Succeeded}"),
        ("failed", "status: {podIP: 10.1.0.4, phase: Failed}"),
    ];
    let leaving = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: l, labels: {app: web}, deletionTimestamp: '2026-01-01T00:00:00Z'}\n".to_owned() + &ready("10.1.0.5") + "\n";
    let text = selected("ports: [{port: 80}]", &pods) + &leaving;
    assert_eq!(endpoints(&text), ["10.1.0.1 80/ ---", "10.1.0.2 80/ ---", "10.1.0.5 80/ -st"]);
    let text = selected("ports: [{port: 80}], publishNotReadyAddresses: true", &pods) + &leaving;
    assert_eq!(endpoints(&text), ["10.1.0.1 80/ r--", "10.1.0.2 80/ r--", "10.1.0.5 80/ rst"]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn s36_a_target_port_is_the_port_a_number_or_each_pods_own_name() {
    let pod = |ip: &str, containers: &str| format!("spec: {{nodeName: node-1, {containers}}}\n{}", ready(ip));
    let spec =
        "ports: [{name: a, port: 80}, {name: b, port: 81, targetPort: 8081}, {name: c, port: 82, targetPort: http}]";
    let text = selected(
        spec,
        &[
            ("a", &pod("10.1.0.1", "containers: [{name: c, ports: [{name: http, containerPort: 9001}]}]")),
            (
                "b",
                &pod(
                    "10.1.0.2",
                    "containers: [], initContainers: [{name: i, restartPolicy: Always, ports: [{name: http, containerPort: 9002}]}]",
                ),
            ),
            (
                "c",
                &pod(
                    "10.1.0.3",
                    "containers: [], initContainers: [{name: i, ports: [{name: http, containerPort: 9003}]}]",
                ),
            ),
            (
                "d",
                &pod("10.1.0.4", "containers: [{name: c, ports: [{name: http, protocol: UDP, containerPort: 9004}]}]"),
            ),
        ],
    );
    assert_eq!(
        endpoints(&text),
        [
            "10.1.0.1 80/a,8081/b,9001/c rs-",
            "10.1.0.2 80/a,8081/b,9002/c rs-",
            "10.1.0.3 80/a,8081/b rs-",
            "10.1.0.4 80/a,8081/b rs-"
        ]
    );
    assert!(
        slices(&assembled(&text)).iter().all(|slice| slice
            .endpoints
            .iter()
            .flatten()
            .all(|endpoint| endpoint.node_name.as_deref() == Some("node-1")))
    );
}

#[test]
fn s37_each_family_of_the_service_has_its_slices() {
    let pod = "status: {podIP: 10.1.0.1, podIPs: [{ip: 10.1.0.1}, {ip: 'fd01::1'}], conditions: [{type: Ready, status: 'True'}]}";
    let of = |spec: &str| endpoints(&selected(&format!("ports: [{{port: 80}}], {spec}"), &[("a", pod)]));
    assert_eq!(of(""), ["10.1.0.1 80/ rs-"]);
    assert_eq!(of("ipFamilies: [IPv6]"), ["fd01::1 80/ rs-"]);
    assert_eq!(of("ipFamilyPolicy: PreferDualStack"), ["10.1.0.1 80/ rs-", "fd01::1 80/ rs-"]);
}

#[test]
fn s37_generated_slices_are_named_by_their_content_and_labelled() {
    let service = |cluster_ip: &str| {
        let spec = json!({"clusterIP": cluster_ip, "ipFamilies": ["IPv4"], "selector": {"app": "web"}, "ports": [{"port": 80}]});
        serde_json::from_value::<Service>(json!({"metadata": {"name": "web"}, "spec": spec})).expect("a Service")
    };
    let pod = |name: &str, ip: &str| {
        let status = json!({"podIPs": [{"ip": ip}], "conditions": [{"type": "Ready", "status": "True"}]});
        let metadata = json!({"name": name, "labels": {"app": "web"}});
        serde_json::from_value::<Pod>(json!({"metadata": metadata, "status": status})).expect("a Pod")
    };
    let (a, b) = (pod("a", "10.1.0.1"), pod("b", "10.1.0.2"));
    let first = generate(&[service("None")], std::slice::from_ref(&a), &[]);
    let labels = first[0].metadata.labels.as_ref().expect("labels");
    assert_eq!(labels.get(SERVICE_NAME).map(String::as_str), Some("web"));
    assert_eq!(labels.get(HEADLESS).map(String::as_str), Some(""));
    let more = generate(&[service("None")], &[a.clone(), b], &[]);
    assert_eq!(first[0].metadata.name, more[0].metadata.name);
    let plain = generate(&[service("10.96.0.1")], &[a], &[]);
    assert!(!plain[0].metadata.labels.as_ref().expect("labels").contains_key(HEADLESS));
}

#[test]
fn s3_endpoints_are_mirrored_for_a_service_without_selector() {
    let object = |labels: &str| {
        format!(
            "---\napiVersion: v1\nkind: Endpoints\nmetadata: {{name: web, labels: {labels}}}\nsubsets:\n- addresses: [{{ip: 10.1.0.1}}, {{ip: 'fd01::1'}}]\n  notReadyAddresses: [{{ip: 10.1.0.2}}]\n  ports: [{{port: 8080}}]\n"
        )
    };
    let bare = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n";
    assert_eq!(
        endpoints(&(bare.to_owned() + &object("{}"))),
        ["10.1.0.1 8080/ r--", "10.1.0.2 8080/ ---", "fd01::1 8080/ r--"]
    );
    let skipped = object("{endpointslice.kubernetes.io/skip-mirror: 'true'}");
    for text in [object("{}"), bare.to_owned() + &skipped, selected("ports: [{port: 80}]", &[]) + &object("{}")] {
        assert_eq!(endpoints(&text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn s36_defaults_are_written_into_the_service() {
    let assembled = assembled(&selected("ports: [{port: 80}]", &[]));
    let spec = &service(&assembled, "web").spec;
    let port = &spec.ports.as_ref().expect("ports")[0];
    assert_eq!(port.protocol.as_deref(), Some("TCP"));
    assert_eq!(port.target_port, Some(k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::Int(80)));
    assert_eq!((spec.r#type.as_deref(), spec.session_affinity.as_deref()), (Some("ClusterIP"), Some("None")));
}
