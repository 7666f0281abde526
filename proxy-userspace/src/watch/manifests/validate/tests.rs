mod objects;

use crate::watch::manifests::sample::{content, shown};

/// Returns a Service `web` with a spec in flow style.
fn service(spec: &str) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec: {spec}\n")
}

fn slice(rest: &str) -> String {
    format!("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: web-1}}\n{rest}\n")
}

/// Asserts that every text is refused with exactly one reason, which contains the given words and field.
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
#[expect(clippy::too_many_lines, reason = "a table of cases")]
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
#[expect(clippy::too_many_lines, reason = "a table of cases")]
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
#[expect(clippy::too_many_lines, reason = "a table of cases")]
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
