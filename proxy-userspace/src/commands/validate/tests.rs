use std::{fs, path::Path};

use super::*;

/// Judges a folder with these files. Paths in the text are relative to the folder.
fn text(files: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let text = report(folder.path()).to_string();
    text.replace(&format!("{}/", folder.path().display()), "")
}

fn report(path: &Path) -> Report {
    let ranges = (vec!["10.96.0.0/16".parse().unwrap()], 30000..=32767);
    let listing = Listing::read(&[path.to_owned()], ranges, "node-1").unwrap();
    judge(&listing, "node-1".to_owned(), ExternalIps::default())
}

fn service(name: &str, spec: &str) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec:\n  {spec}\n")
}

fn slice(service: &str, rest: &str) -> String {
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: {service}-1, labels: {{kubernetes.io/service-name: {service}}}}}\naddressType: IPv4\n{rest}\n"
    )
}

const ENDPOINTS: &str = "ports: [{port: 8080}]\nendpoints: [{addresses: [192.0.2.11]}, {addresses: [192.0.2.12]}]";

#[test]
fn valid_manifests_have_a_summary_alone() {
    let web = service("web", "{clusterIP: 10.96.0.10, externalIPs: [192.0.2.1], ports: [{port: 80}]}");
    let text = text(&[("web.yaml", &web), ("slice.yaml", &slice("web", ENDPOINTS))]);
    assert_eq!(text, "1 Service, 2 frontends, 2 backends would be served; nothing is wrong\n");
}

#[test]
fn s38_refusals_are_named_in_the_order_of_files_and_lines() {
    let bad = [service("b", "{ports: [{port: 0}]}"), service("a", "{ports: []}")].join("---\n");
    let text = text(&[("b.yaml", &bad), ("a.yaml", "a: [")]);
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("a.yaml:1: file not read: "), "{text}");
    assert_eq!(
        lines[1..],
        [
            "b.yaml:5: Service default/b: spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            "b.yaml:11: Service default/a: spec.ports: Required value",
            "0 Services, 0 frontends, 0 backends would be served; 3 errors",
        ]
    );
}

#[test]
fn s7_parts_that_an_agent_skips_are_errors_with_their_lines() {
    let of = |name: &str, own: &str| {
        service(name, &format!("clusterIP: {own}\n  ports: [{{port: 80}}]\n  externalIPs:\n    - 192.0.2.1"))
    };
    let services = [of("a", "10.96.0.10"), of("b", "10.96.0.11")].join("---\n");
    let slices = [slice("a", ENDPOINTS), slice("b", ENDPOINTS)].join("---\n");
    assert_eq!(
        text(&[("services.yaml", &services), ("slices.yaml", &slices)]),
        "services.yaml:17: Service default/b: spec.externalIPs: 192.0.2.1 port 80 (TCP) is served by default/a, which comes first; \
         skipped\n2 Services, 3 frontends, 2 backends would be served; 1 error\n"
    );
}

#[test]
fn s4_a_port_without_endpoints_is_a_warning_that_says_why() {
    let port = |name: &str| service(name, "{clusterIP: 10.96.0.10, ports: [{name: http, port: 80}]}");
    let warning = |text: String, cause: &str| {
        let place = "web.yaml:5: warning: Service default/web: spec.ports[0]: clients are refused over IPv4: ";
        assert_eq!(text.lines().next(), Some(format!("{place}{cause}").as_str()));
        assert!(text.ends_with("1 warning\n"), "{text}");
    };
    let with = |slice: String| text(&[("web.yaml", &port("web")), ("slice.yaml", &slice)]);
    warning(text(&[("web.yaml", &port("web"))]), "the Service has no endpoints");
    warning(with(slice("web", ENDPOINTS)), "none of the Service's EndpointSlices has a TCP port named \"http\"");
    let unready =
        "ports: [{name: http, port: 8080}]\nendpoints: [{addresses: [192.0.2.11], conditions: {ready: false}}]";
    warning(with(slice("web", unready)), "no IPv4 endpoint is ready");
}

#[test]
fn objects_without_effect_are_warnings() {
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n";
    let unlabelled = slice("web", ENDPOINTS).replace("kubernetes.io/service-name", "service");
    let text = text(&[
        ("a.yaml", deployment),
        ("b.yaml", &slice("web", ENDPOINTS)),
        ("c.yaml", &unlabelled.replace("web-1", "web-2")),
    ]);
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        [
            "a.yaml:1: warning: Deployment default/web: creates no Pods here: a folder serves only Pods and EndpointSlices that are \
             in it",
            "b.yaml:3: warning: EndpointSlice default/web-1: metadata.labels[kubernetes.io/service-name]: these endpoints are not \
             used: there is no Service default/web",
            "c.yaml:3: warning: EndpointSlice default/web-2: metadata.labels[kubernetes.io/service-name]: these endpoints are not \
             used: the label must name their Service",
            "0 Services, 0 frontends, 0 backends would be served; 3 warnings",
        ]
    );
}

#[test]
fn s37_endpoints_of_pods_count_and_a_file_alone_can_be_judged() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {app: web}}\n\
               status: {podIPs: [{ip: 10.244.1.1}], conditions: [{type: Ready, status: \"True\"}]}\n";
    let service = service("web", "{selector: {app: web}, ports: [{port: 80}]}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all");
    fs::write(&file, [service.as_str(), pod].join("---\n")).unwrap();
    let report = report(&file);
    assert!(report.valid && report.findings.is_empty(), "{report}");
    assert_eq!((report.services, report.frontends, report.backends), (1, 1, 1));
}

#[test]
fn an_empty_folder_is_a_warning() {
    let text = text(&[("web.yaml.old", "a: [")]);
    assert!(text.starts_with("warning: there are no manifests"), "{text}");
    assert!(text.ends_with("0 Services, 0 frontends, 0 backends would be served; 1 warning\n"), "{text}");
}

#[test]
fn what_can_not_be_read_at_all_is_an_error_of_the_command() {
    let ranges = (vec!["10.96.0.0/16".parse().unwrap()], 30000..=32767);
    let error = Listing::read(&["/nonexistent/web.yaml".into()], ranges, "node-1").unwrap_err();
    assert!(error.to_string().starts_with("read manifests /nonexistent/web.yaml"), "{error}");
}

#[test]
fn json_has_every_part_of_a_finding() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), service("a", "{ports: [{port: 0}]}")).unwrap();
    let report = serde_json::to_value(report(folder.path())).unwrap();
    let expected = serde_json::json!({
        "valid": false, "services": 0, "frontends": 0, "backends": 0,
        "findings": [{
            "file": folder.path().join("a.yaml"), "line": 5, "severity": "error", "object": "Service default/a",
            "field": "spec.ports[0].port", "reason": "Invalid value: 0: must be between 1 and 65535, inclusive",
        }],
    });
    assert_eq!(report, expected);
}
