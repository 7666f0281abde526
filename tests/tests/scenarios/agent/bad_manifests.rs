//! Malformed files in a folder of manifests: the log names each with file, field and reason, and everything else is
//! served (S38).

use harness::scene::{Family, Scene, Setup, WAIT_LIMIT, over_both, web, web_slice};

/// A Service named `bad` with this spec, in YAML's flow style.
fn service(spec: &str) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata: {{name: bad}}\nspec: {spec}\n")
}

/// A slice of a Service named `bad`, with these fields.
fn slice(fields: &str) -> String {
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: bad, labels: {{kubernetes.io/service-name: bad}}}}\n{fields}\n"
    )
}

fn endpoint(address: &str) -> String {
    slice(&format!("addressType: IPv4\nports: [{{port: 80}}]\nendpoints: [{{addresses: ['{address}']}}]"))
}

/// Content of a file, the field that the log names, and a part of the reason.
type Row = (String, &'static str, &'static str);

/// A Service named `bad` with these ports.
fn ports(ports: &str) -> String {
    service(&format!("{{ports: [{ports}]}}"))
}

/// A Service named `bad` with one port and these fields.
fn with(fields: &str) -> String {
    service(&format!("{{ports: [{{port: 80}}], {fields}}}"))
}

/// A Service with this name.
fn named(name: &str) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: 80}}]}}\n")
}

/// Files without an object, and objects of an unknown kind or without a name.
fn documents() -> Vec<Row> {
    vec![
        ("a: [".into(), "", "file not read"),
        ("kind: Service\nspec:\n\tports: []\n".into(), "", "file not read"),
        ("kind: Service\nkind: Service\n".into(), "", "file not read"),
        ("\u{0}\u{1}\u{2}".into(), "", "file not read"),
        ("apiVersion: v1\nmetadata: {name: bad}\n".into(), "kind", "missing"),
        ("kind: Service\nmetadata: {name: bad}\n".into(), "apiVersion", "not set"),
        ("apiVersion: v7\nkind: Service\nmetadata: {name: bad}\n".into(), "apiVersion", "no matches for kind"),
        (named("Bad_Name"), "metadata.name", "DNS-1035"),
        (named("7up"), "metadata.name", "DNS-1035"),
        ("apiVersion: v1\nkind: Service\nspec: {ports: [{port: 80}]}\n".into(), "metadata.name", "equired"),
        ("apiVersion: networking.k8s.io/v1\nkind: ServiceCIDR\nmetadata: {name: bad}\nspec: {cidrs: [10.98.0.0]}\n".into(), "spec.cidrs[0]", "valid CIDR"),
        ("apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: bad}\n  spec: {}\n".into(), "spec.ports", "equired"),

    ]
}

/// Services with bad ports.
fn service_ports() -> Vec<Row> {
    vec![
        (service("none"), "spec", "cannot be handled as a Service"),
        (service("{}"), "spec.ports", "equired"),
        (ports("{port: 0}"), "spec.ports[0].port", "between 1 and 65535"),
        (ports("{port: 65536}"), "spec.ports[0].port", "between 1 and 65535"),
        (ports("{port: http}"), "spec.ports[0].port", "cannot be handled as a Service"),
        (ports("{port: 80, protocol: tcp}"), "spec.ports[0].protocol", "nsupported"),
        (ports("{port: 80}, {port: 81}"), "spec.ports[0].name", "equired"),
        (ports("{port: 80, name: a}, {port: 81, name: a}"), "spec.ports[1].name", "uplicate"),
        (ports("{port: 80, name: a}, {port: 80, name: b}"), "spec.ports[1]", "uplicate"),
        (ports("{port: 80, name: 123_abc}"), "spec.ports[0].name", "RFC 1123"),
        (ports("{port: 80, name: -web}"), "spec.ports[0].name", "RFC 1123"),
        (ports("{port: 80, targetPort: 70000}"), "spec.ports[0].targetPort", "between 1 and 65535"),
        (ports("{port: 80, nodePort: 30090}"), "spec.ports[0].nodePort", "may not be used"),
        (with("type: NodePort, ports: []"), "", "file not read"),
        (
            service("{type: NodePort, ports: [{port: 80, nodePort: 80}]}"),
            "spec.ports[0].nodePort",
            "not in the valid range",
        ),
    ]
}

/// Services with other bad fields.
fn services() -> Vec<Row> {
    vec![
        (with("clusterIP: 10.96.0.300"), "spec.clusterIPs[0]", "valid IP address"),
        (with("clusterIP: 192.0.2.1"), "spec.clusterIPs", "not in the valid range"),
        (with("clusterIP: 10.96.0.10"), "spec.clusterIPs", "already allocated"),
        (with("clusterIP: 10.96.0.66, ipFamilies: [IPv6]"), "spec.clusterIPs[0]", "expected an IPv6 value"),
        (with("ipFamilies: [IPv5]"), "spec.ipFamilies[0]", "nsupported"),
        (with("externalIPs: [127.0.0.1]"), "spec.externalIPs[0]", "loopback"),
        (with("type: Fancy"), "spec.type", "nsupported"),
        (with("sessionAffinity: Cookie"), "spec.sessionAffinity", "nsupported"),
        (with("internalTrafficPolicy: Near"), "spec.internalTrafficPolicy", "nsupported"),
        (with("externalTrafficPolicy: Local"), "spec.externalTrafficPolicy", "externally-accessible"),
        (with("loadBalancerSourceRanges: [10.0.0.0/8]"), "spec.loadBalancerSourceRanges", "LoadBalancer"),
    ]
}

/// EndpointSlices.
fn slices() -> Vec<Row> {
    vec![
        (slice("endpoints: []"), "addressType", "equired"),
        (slice("addressType: IPv5"), "addressType", "nsupported"),
        (slice("addressType: IPv4\nendpoints: [{addresses: []}]"), "endpoints[0].addresses", "at least 1"),
        (endpoint("p1"), "endpoints[0].addresses[0]", "valid IP address"),
        (endpoint("fd00::9"), "endpoints[0].addresses[0]", "IPv4"),
        (endpoint("127.0.0.1"), "endpoints[0].addresses[0]", "loopback"),
        (endpoint("169.254.0.1"), "endpoints[0].addresses[0]", "link-local"),
        (endpoint("224.0.0.1"), "endpoints[0].addresses[0]", "multicast"),
        (endpoint("0.0.0.0"), "endpoints[0].addresses[0]", "unspecified"),
        (slice("addressType: IPv4\nports: [{port: 70000}]\nendpoints: []"), "ports[0].port", "between 1 and 65535"),
    ]
}

/// A scene from a folder with a Service that works.
fn scene(name: &str) -> Scene {
    let scene = Setup::new(name).backends(3).start();
    scene.put(&web("web", Family::BOTH.map(|family| family.cluster_ip(10))).build());
    over_both(|family| {
        scene.put(&web_slice("web", family).name(&family.name("web")).pod(scene.pod(1)).build());
        scene.expect(family.frontend(10), &["p1"]);
    });
    scene
}

#[test]
fn s38_malformed_files_are_named_and_the_rest_is_served() {
    let scene = scene("s38");
    let mut wrong = Vec::new();
    for (number, (content, field, reason)) in
        [documents(), service_ports(), services(), slices()].concat().into_iter().enumerate()
    {
        let file = format!("zz-{number}.yaml");
        scene.folder().write(&file, &content);
        let said = scene.waggle.wait_log(WAIT_LIMIT, |line| line.text.contains("WARN") && line.text.contains(&file));
        let said = said.unwrap();
        let text = |name: &str| said.field(name).and_then(|value| value.as_str()).unwrap_or_default();
        let is_placed =
            text("file").ends_with(&file) && said.field("line").is_some_and(|line| line.as_u64() >= Some(1));
        if !is_placed || text("field") != field || !said.text.contains(reason) {
            wrong.push(format!("{content}\nwanted {field:?}, {reason:?}: {}", said.text));
        }
        scene.folder().remove(&file);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    over_both(|family| scene.hold(family.frontend(10), &["p1"]));
    over_both(|family| {
        scene.put(&web_slice("web", family).name(&family.name("web")).pod(scene.pod(2)).build());
        scene.expect(family.frontend(10), &["p2"]);
    });
}

#[test]
fn s38_the_valid_documents_of_a_file_are_served_beside_the_invalid() {
    let scene = scene("s38-docs");
    let good = |number: u8| {
        let own = web(&format!("more-{number}"), [Family::Ipv4.cluster_ip(20 + number)]).build();
        let slice = web_slice(&format!("more-{number}"), Family::Ipv4).pod(scene.pod(1)).build();
        format!("{own}\n---\n{slice}\n")
    };
    let bad = service("{ports: [{port: 0}]}");
    scene.folder().write("many.yaml", &format!("{}---\n# nothing\n---\n{bad}---\n{}", good(1), good(2)));
    scene.expect(Family::Ipv4.frontend(21), &["p1"]);
    scene.expect(Family::Ipv4.frontend(22), &["p1"]);
    let said = scene.waggle.wait_log(WAIT_LIMIT, |line| line.text.contains("many.yaml")).unwrap();
    assert!(said.text.contains("Service default/bad"), "{}", said.text);
}

#[test]
fn s38_a_file_that_breaks_leaves_its_last_good_content_in_force() {
    let scene = scene("s38-break");
    let more = web("more", [Family::Ipv4.cluster_ip(20)]).build();
    let slice = |pod| web_slice("more", Family::Ipv4).pod(scene.pod(pod)).build();
    scene.folder().write("more.yaml", &format!("{more}\n---\n{}\n", slice(1)));
    scene.expect(Family::Ipv4.frontend(20), &["p1"]);
    scene.folder().write("more.yaml", "apiVersion: v1\nkind: [\n");
    scene.waggle.wait_log(WAIT_LIMIT, |line| line.text.contains("its last good content stays in force")).unwrap();
    scene.hold(Family::Ipv4.frontend(20), &["p1"]);
    scene.folder().write("more.yaml", &format!("{more}\n---\n{}\n", slice(2)));
    scene.expect(Family::Ipv4.frontend(20), &["p2"]);
    scene.folder().remove("more.yaml");
    scene.expect(Family::Ipv4.frontend(20), &["EHOSTUNREACH"]);
}
