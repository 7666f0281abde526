use super::{refused, service, slice};
use crate::watch::manifests::sample::{content, shown};

#[test]
fn s7_endpoint_addresses_are_refused() {
    let addresses =
        |family: &str, ip: &str| slice(&format!("addressType: {family}\nendpoints: [{{addresses: ['{ip}']}}]"));
    let field = "endpoints[0].addresses[0]";
    refused(&[
        (addresses("IPv4", "0.0.0.0"), field, "may not be unspecified (0.0.0.0 or ::)"),
        (addresses("IPv4", "127.0.0.1"), field, "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        (addresses("IPv6", "::1"), field, "may not be in the loopback range"),
        (addresses("IPv4", "169.254.1.1"), field, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        (addresses("IPv6", "fe80::1"), field, "may not be in the link-local range"),
        (addresses("IPv4", "224.0.0.1"), field, "may not be in the multicast range"),
        (addresses("IPv4", "239.1.2.3"), field, "may not be in the multicast range"),
        (addresses("IPv6", "ff02::1"), field, "may not be in the multicast range"),
        (addresses("IPv6", "::ffff:127.0.0.1"), field, "may not be in the loopback range"),
        (addresses("IPv4", "fd00::1"), field, "must be a valid IPv4 address"),
        (addresses("IPv4", "web"), field, "must be a valid IP address"),
        (
            addresses("IPvX", "web"),
            "addressType",
            "Unsupported value: \"IPvX\": supported values: \"FQDN\", \"IPv4\", \"IPv6\"",
        ),
    ]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn s38_other_objects_are_refused() {
    let of = |version: &str, kind: &str, rest: &str| {
        format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\n{rest}\n")
    };
    let v1 = |kind, rest| of("v1", kind, rest);
    refused(&[
        (slice("endpoints: []"), "addressType", "Required value"),
        (slice("addressType: IPv4\nendpoints: [{}]"), "endpoints[0].addresses", "must contain at least 1 address"),
        (slice("addressType: IPv4\nports: [{port: 0}]"), "ports[0].port", "must be between 1 and 65535"),
        (slice("addressType: IPv4\nports: [{name: A, port: 1}]"), "ports[0].name", "a lowercase RFC 1123 label"),
        (slice("addressType: IPv4\nports: [{port: 1}, {port: 2}]"), "ports[1].name", "Duplicate value: \"\""),
        (
            of("discovery.k8s.io/v1beta1", "EndpointSlice", "addressType: IPv4"),
            "apiVersion",
            "no matches for kind \"EndpointSlice\" in version \"discovery.k8s.io/v1beta1\"",
        ),
        (v1("Endpoints", "subsets: [{addresses: [{ip: 127.0.0.1}]}]"), "subsets[0].addresses[0].ip", "loopback"),
        (
            v1("Endpoints", "subsets: [{ports: [{port: 1}]}]"),
            "subsets[0]",
            "must specify `addresses` or `notReadyAddresses`",
        ),
        (
            v1("Endpoints", "subsets: [{addresses: [{ip: 10.0.0.1}], ports: [{}]}]"),
            "subsets[0].ports[0].port",
            "must be between",
        ),
        (v1("Pod", "status: {podIP: nonsense}"), "status.podIP", "must be a valid IP address"),
        (
            v1("Pod", "spec: {containers: [{name: a, ports: [{containerPort: 0}]}]}"),
            "spec.containers[0].ports[0].containerPort",
            "must be between",
        ),
        (
            of("networking.k8s.io/v1", "ServiceCIDR", "spec: {cidrs: [10.0.0.0]}"),
            "spec.cidrs[0]",
            "must be a valid CIDR value",
        ),
        (of("networking.k8s.io/v1", "ServiceCIDR", "spec: {}"), "spec.cidrs", "Required value"),
        ("apiVersion: v1\nmetadata: {name: a}\n".to_owned(), "kind", "Object 'Kind' is missing"),
        ("kind: Service\nmetadata: {name: a}\n".to_owned(), "apiVersion", "apiVersion not set"),
        ("just text\n".to_owned(), "kind", "Object 'Kind' is missing"),
    ]);
}

#[test]
fn s38_a_refusal_leaves_the_other_objects_and_names_the_line_of_the_field() {
    let text = format!(
        "{}---\napiVersion: v1\nkind: Service\nmetadata:\n  name: bad\nspec:\n  ports:\n  - port: 80\n    protocol: X\n---\n{}",
        service("{ports: [{port: 80}]}"),
        service("{ports: [{port: 81}]}").replace("web", "web-2")
    );
    let content = content("a.yaml", &text);
    let names: Vec<_> = content.objects.iter().map(|found| found.identity.to_string()).collect();
    assert_eq!(names, ["Service default/web", "Service default/web-2"]);
    let (refusal, line) =
        (&content.refusals[0], text.lines().position(|line| line.contains("protocol: X")).map(|line| line as u64 + 1));
    assert_eq!((refusal.object.as_str(), Some(refusal.line)), ("Service default/bad", line));
}

#[test]
fn s38_what_tutorials_write_is_valid() {
    for (text, objects) in [
        (service("{ports: [{port: 80, name: 123-abc, targetPort: http, protocol: UDP}]}"), 1),
        (service("{clusterIP: None}"), 1),
        (service("{type: ExternalName, externalName: example.com.}"), 1),
        (service("{type: LoadBalancer, loadBalancerSourceRanges: [' 10.0.0.0/8 '], ports: [{port: 80, nodePort: 0}], externalIPs: [010.001.2.3]}"), 1),
        ("apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Node, metadata: {name: n, creationTimestamp: null}, status: null}\n- {apiVersion: apps/v1, kind: Deployment, metadata: {name: d}}\n".to_owned(), 1),
        ("apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a}\n- metadata: {name: b}\n".to_owned(), 2),
        (slice("addressType: FQDN\nendpoints: [{addresses: [example.com]}]"), 1),
        ("apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: A_B}\n".to_owned(), 0),
        ("# nothing\n".to_owned(), 0),
    ] {
        let content = content("a.yaml", &text);
        assert_eq!((content.objects.len(), shown(&content.refusals)), (objects, vec![]), "{text}");
    }
}
