use crate::watch::manifests::sample::{content, shown};

/// A Service `web` with a spec in flow style.
fn service(spec: &str) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec: {spec}\n")
}

fn slice(rest: &str) -> String {
    format!("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: web-1}}\n{rest}\n")
}

/// Every text is refused with exactly one reason, which contains the words at the field.
fn refused(table: &[(String, &str, &str)]) {
    for (text, field, words) in table {
        let content = content("a.yaml", text);
        let refusals = shown(&content.refusals);
        assert!(content.objects.is_empty(), "served: {text}");
        assert_eq!(refusals.len(), 1, "{text}{refusals:#?}");
        assert_eq!(content.refusals[0].field, *field, "{refusals:?}");
        assert!(content.refusals[0].reason.contains(words), "{text}{refusals:?}");
    }
}

#[test]
fn s38_names_are_refused() {
    let named = |kind: &str, metadata: &str| {
        format!("apiVersion: v1\nkind: {kind}\nmetadata: {metadata}\nspec: {{ports: [{{port: 80}}], containers: []}}\n")
    };
    let long = "a".repeat(64);
    refused(&[
        (named("Service", "{}"), "metadata.name", "Required value: name or generateName is required"),
        (named("Service", "{name: 1web}"), "metadata.name", "a DNS-1035 label must consist of"),
        (named("Service", "{name: Web}"), "metadata.name", "Invalid value: \"Web\": a DNS-1035"),
        (named("Service", "{name: web-}"), "metadata.name", "a DNS-1035"),
        (named("Service", "{name: a.b}"), "metadata.name", "a DNS-1035"),
        (named("Service", &format!("{{name: {long}}}")), "metadata.name", "must be no more than 63 bytes"),
        (named("Service", "{name: a, namespace: A_B}"), "metadata.namespace", "a lowercase RFC 1123 label"),
        (named("Pod", "{name: a..b}"), "metadata.name", "a lowercase RFC 1123 subdomain"),
        (named("Service", "{name: a, labels: {a: -b}}"), "metadata.labels[a]", "a valid label must be"),
        (named("Service", "{name: a, labels: {-a: b}}"), "metadata.labels", "name part must consist of"),
        (
            named("Service", "{name: a, labels: {A/a: b}}"),
            "metadata.labels",
            "prefix part a lowercase RFC 1123 subdomain",
        ),
        (
            named("Service", "{name: a, labels: {a: 1}}"),
            "metadata.labels.a",
            "invalid type: integer `1`, expected a string",
        ),
    ]);
}

#[test]
fn s38_ports_are_refused() {
    let ports = |ports: &str| service(&format!("{{ports: {ports}}}"));
    refused(&[
        (ports("[]"), "spec.ports", "Required value"),
        (ports("[{port: 0}]"), "spec.ports[0].port", "Invalid value: 0: must be between 1 and 65535, inclusive"),
        (ports("[{}]"), "spec.ports[0].port", "Invalid value: 0: must be between"),
        (ports("[{port: 65536}]"), "spec.ports[0].port", "Invalid value: 65536: must be between"),
        (ports("[{port: -1}]"), "spec.ports[0].port", "must be between"),
        (
            ports("[{port: http}]"),
            "spec.ports[0].port",
            "cannot be handled as a Service: invalid type: string \"http\"",
        ),
        (ports("[{port: 80.5}]"), "spec.ports[0].port", "invalid type: floating point"),
        (ports("[{port: 99999999999}]"), "spec.ports[0].port", "invalid value"),
        (ports("{port: 80}"), "spec.ports", "invalid type: map"),
        (
            ports("[{port: 80, protocol: tcp}]"),
            "spec.ports[0].protocol",
            "Unsupported value: \"tcp\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
        ),
        (
            ports("[{port: 80, name: 123_abc}]"),
            "spec.ports[0].name",
            "Invalid value: \"123_abc\": a lowercase RFC 1123 label",
        ),
        (ports("[{port: 80, name: -web}]"), "spec.ports[0].name", "a lowercase RFC 1123 label"),
        (ports("[{port: 80}, {port: 81, name: b}]"), "spec.ports[0].name", "Required value"),
        (ports("[{port: 80, name: a}, {port: 81, name: a}]"), "spec.ports[1].name", "Duplicate value: \"a\""),
        (
            ports("[{port: 80, name: a}, {port: 80, name: b}]"),
            "spec.ports[1]",
            "Duplicate value: {\"protocol\":\"TCP\",\"port\":80}",
        ),
        (ports("[{port: 80, targetPort: 70000}]"), "spec.ports[0].targetPort", "must be between"),
        (
            ports("[{port: 80, targetPort: a-much-too-long-name}]"),
            "spec.ports[0].targetPort",
            "must be no more than 15 bytes",
        ),
        (ports("[{port: 80, targetPort: a--b}]"), "spec.ports[0].targetPort", "must not contain consecutive hyphens"),
        (
            ports("[{port: 80, targetPort: '8080'}]"),
            "spec.ports[0].targetPort",
            "must contain at least one letter (a-z)",
        ),
        (
            ports("[{port: 80, nodePort: 30000}]"),
            "spec.ports[0].nodePort",
            "Forbidden: may not be used when `type` is 'ClusterIP'",
        ),
        (
            service(
                "{type: NodePort, ports: [{port: 80, name: a, nodePort: 30000}, {port: 81, name: b, nodePort: 30000}]}",
            ),
            "spec.ports[1].nodePort",
            "Duplicate value: 30000",
        ),
    ]);
}

#[test]
fn s38_service_types_and_policies_are_refused() {
    let spec = |rest: &str| service(&format!("{{ports: [{{port: 80}}], {rest}}}"));
    let affinity = |seconds: &str| {
        spec(&format!("sessionAffinity: ClientIP, sessionAffinityConfig: {{clientIP: {{timeoutSeconds: {seconds}}}}}"))
    };
    let timeout = "spec.sessionAffinityConfig.clientIP.timeoutSeconds";
    refused(&[
        (
            spec("type: Nodeport"),
            "spec.type",
            "supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"",
        ),
        (spec("sessionAffinity: Client"), "spec.sessionAffinity", "supported values: \"ClientIP\", \"None\""),
        (affinity("0"), timeout, "Invalid value: 0: must be greater than 0 and less than 86400"),
        (affinity("86401"), timeout, "must be greater than 0"),
        (
            spec("sessionAffinityConfig: {clientIP: {timeoutSeconds: 5}}"),
            "spec.sessionAffinityConfig",
            "Forbidden: must not be set when session affinity is None",
        ),
        (
            spec("internalTrafficPolicy: local"),
            "spec.internalTrafficPolicy",
            "supported values: \"Cluster\", \"Local\"",
        ),
        (
            spec("externalTrafficPolicy: Local"),
            "spec.externalTrafficPolicy",
            "may only be set for externally-accessible services",
        ),
        (
            spec("type: NodePort, externalTrafficPolicy: Far"),
            "spec.externalTrafficPolicy",
            "Unsupported value: \"Far\"",
        ),
        (
            spec("healthCheckNodePort: 30000"),
            "spec.healthCheckNodePort",
            "may only be set when `type` is 'LoadBalancer' and",
        ),
        (spec("externalIPs: [127.0.0.1]"), "spec.externalIPs[0]", "may not be in the loopback range"),
        (spec("externalIPs: [1.2.3]"), "spec.externalIPs[0]", "must be a valid IP address, (e.g. 10.9.8.7"),
        (
            spec("loadBalancerSourceRanges: [10.0.0.0/8]"),
            "spec.loadBalancerSourceRanges",
            "may only be used when `type` is 'LoadBalancer'",
        ),
        (
            spec("type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0]"),
            "spec.loadBalancerSourceRanges[0]",
            "must be a valid CIDR value",
        ),
        (service("{type: ExternalName}"), "spec.externalName", "Required value"),
        (service("{type: ExternalName, externalName: a_b}"), "spec.externalName", "a lowercase RFC 1123 subdomain"),
        (
            service("{type: ExternalName, externalName: a.b, clusterIP: 10.96.0.1}"),
            "spec.clusterIPs",
            "may not be set for ExternalName services",
        ),
        (spec("selector: {app: 'a b'}"), "spec.selector[app]", "a valid label must be"),
        (service("text"), "spec", "invalid type: string"),
    ]);
}

#[test]
fn s38_cluster_addresses_are_refused() {
    let spec = |rest: &str| service(&format!("{{ports: [{{port: 80}}], {rest}}}"));
    let dual = "ipFamilyPolicy: PreferDualStack";
    refused(&[
        (spec("clusterIP: 10.96.0.300"), "spec.clusterIPs[0]", "must be a valid IP address"),
        (spec("clusterIP: none"), "spec.clusterIPs[0]", "Invalid value: \"none\": must be a valid IP address"),
        (
            spec("clusterIP: 10.96.0.1, clusterIPs: [10.96.0.2]"),
            "spec.clusterIPs",
            "first value must match `clusterIP`",
        ),
        (
            spec(&format!("clusterIPs: [10.96.0.1, 10.96.0.2], {dual}")),
            "spec.clusterIPs",
            "may specify no more than one IP for each IP family",
        ),
        (
            spec("clusterIPs: [10.96.0.1, 'fd00::1']"),
            "spec.ipFamilyPolicy",
            "must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs",
        ),
        (spec("ipFamilies: [IPv4, IPv6]"), "spec.ipFamilyPolicy", "when multiple IP families are specified"),
        (
            spec("ipFamilies: [IPv5]"),
            "spec.ipFamilies[0]",
            "Unsupported value: \"IPv5\": supported values: \"IPv4\", \"IPv6\"",
        ),
        (spec(&format!("ipFamilies: [IPv4, IPv4], {dual}")), "spec.ipFamilies[1]", "Duplicate value: \"IPv4\""),
        (
            spec("ipFamilies: [IPv6], clusterIP: 10.96.0.1"),
            "spec.clusterIPs[0]",
            "expected an IPv6 value as indicated by `ipFamilies[0]`",
        ),
        (
            spec("ipFamilyPolicy: Dual"),
            "spec.ipFamilyPolicy",
            "supported values: \"PreferDualStack\", \"RequireDualStack\", \"SingleStack\"",
        ),
        (
            spec("type: NodePort, clusterIP: None"),
            "spec.clusterIPs[0]",
            "may not be set to 'None' for NodePort services",
        ),
    ]);
}

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
