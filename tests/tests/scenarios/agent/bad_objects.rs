//! Malformed objects from an API server that validates nothing: the log says once what is wrong with each, and everything else is
//! served (S6, S7, S9).

use harness::{
    lab::LogLine,
    objects::{Cluster as _, NAMESPACE, identity, lab_node, service, service_cidr, slice},
    scene::{Family, Origin, Scene, Setup, WAIT_LIMIT, from_both_over_both, over_both, web, web_slice},
};
use serde_json::{Value, json};

/// Waits for a warning with all of these words.
fn warned(scene: &Scene, words: &[&str]) {
    let wanted = |line: &LogLine| is_about(line, words);
    if let Err(error) = scene.waggle.wait_log(WAIT_LIMIT, wanted) {
        panic!("no warning with {words:?}: {error}");
    }
}

fn is_about(line: &LogLine, words: &[&str]) -> bool {
    line.text.contains("WARN") && words.iter().all(|word| line.text.contains(word))
}

fn warnings(scene: &Scene, words: &[&str]) -> usize {
    scene.waggle.log().since(0).iter().filter(|line| is_about(line, words)).count()
}

/// A Service with one port and other fields of its spec.
fn bad_service(fields: &Value) -> Value {
    let mut object = service("bad").cluster_ip("10.96.0.66").port(80, 8080).build();
    fields.as_object().into_iter().flatten().for_each(|(key, value)| object["spec"][key] = value.clone());
    object
}

fn bad_ports(ports: &Value) -> Value {
    bad_service(&json!({"ports": ports}))
}

/// A slice with one endpoint and other fields.
fn bad_slice(fields: &Value) -> Value {
    let mut object = slice("bad").port(8080).endpoint("10.244.9.9").build();
    fields.as_object().into_iter().flatten().for_each(|(key, value)| object[key] = value.clone());
    object
}

fn bad_address(address: &str) -> Value {
    bad_slice(&json!({"endpoints": [{"addresses": [address]}]}))
}

/// Objects, and words that the warning about each must have.
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn services() -> Vec<(Value, Vec<&'static str>)> {
    let unreadable = vec!["can't be read", "bad", "invalid type"];
    vec![
        (
            json!({"kind": "Service", "apiVersion": "v1", "metadata": {"name": "bad"}, "spec": "none"}),
            unreadable.clone(),
        ),
        (bad_ports(&json!("http")), unreadable.clone()),
        (bad_ports(&json!([{"port": "http"}])), unreadable.clone()),
        (bad_ports(&json!([{"port": 1.5}])), vec!["can't be read", "bad", "1.5"]),
        (bad_service(&json!({"clusterIPs": {"a": 1}})), unreadable),
        (bad_ports(&json!([{"port": 0}])), vec!["\"service\":\"default/bad\"", "spec.ports[0].port", "0 is not in"]),
        (bad_ports(&json!([{"port": 65536}])), vec!["spec.ports[0].port", "65536 is not in"]),
        (bad_ports(&json!([{"port": -1}])), vec!["spec.ports[0].port", "-1 is not in"]),
        (bad_ports(&json!([{"port": 80, "protocol": "tcp"}])), vec!["spec.ports[0].protocol", "tcp"]),
        (bad_ports(&json!([{"port": 80, "name": "a"}, {"port": 81, "name": "a"}])), vec!["spec.ports[1].name", "same"]),
        (bad_ports(&json!([{"port": 80, "name": "a"}, {"port": 80, "name": "b"}])), vec!["spec.ports[1].port", "same"]),
        (
            bad_service(&json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 70000}]})),
            vec!["spec.ports[0].nodePort", "70000 is not in"],
        ),
        (bad_service(&json!({"clusterIPs": ["10.96.0.300"]})), vec!["spec.clusterIPs[0]", "10.96.0.300"]),
        (bad_service(&json!({"clusterIPs": ["127.0.0.1"]})), vec!["spec.clusterIPs[0]", "loopback"]),
        (bad_service(&json!({"clusterIPs": ["0.0.0.0"]})), vec!["spec.clusterIPs[0]", "unspecified"]),
        (bad_service(&json!({"clusterIPs": ["fd00:96::66"]})), vec!["spec.clusterIPs[0]", "not of the family"]),
        (bad_service(&json!({"ipFamilies": ["IPv5"]})), vec!["spec.ipFamilies[0]", "IPv5"]),
        (
            // Of two equally old Services the first by name has the address.
            service("worse").cluster_ip("10.96.0.10").port(80, 8080).build(),
            vec!["\"service\":\"default/worse\"", "belongs to default/web"],
        ),
        (bad_service(&json!({"type": "Fancy"})), vec!["spec.type", "Fancy"]),
        (bad_service(&json!({"internalTrafficPolicy": "Near"})), vec!["spec.internalTrafficPolicy", "Near"]),
        (bad_service(&json!({"externalTrafficPolicy": "Far"})), vec!["spec.externalTrafficPolicy", "Far"]),
        (bad_service(&json!({"sessionAffinity": "Cookie"})), vec!["spec.sessionAffinity", "Cookie"]),
        (
            bad_service(
                &json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 0}}}),
            ),
            vec!["timeoutSeconds", "0 is not in"],
        ),
        (bad_service(&json!({"externalIPs": ["203.0.113.x"]})), vec!["spec.externalIPs[0]", "203.0.113.x"]),
        (bad_service(&json!({"externalIPs": ["224.0.0.1"]})), vec!["spec.externalIPs[0]", "multicast"]),
        (bad_service(&json!({"externalIPs": ["2001:db8::9"]})), vec!["spec.externalIPs[0]", "2001:db8::9"]),
    ]
}

fn slices() -> Vec<(Value, Vec<&'static str>)> {
    vec![
        (bad_slice(&json!({"endpoints": "p1"})), vec!["can't be read", "bad", "invalid type"]),
        (bad_slice(&json!({"ports": [{"port": "http"}]})), vec!["can't be read", "bad", "invalid type"]),
        (bad_slice(&json!({"addressType": "IPv5"})), vec!["EndpointSlice default/bad", "addressType", "IPv5"]),
        (bad_slice(&json!({"ports": [{"port": 0}]})), vec!["ports[0].port", "0 is not in"]),
        (bad_slice(&json!({"ports": [{"port": 70000}]})), vec!["ports[0].port", "70000 is not in"]),
        (bad_slice(&json!({"ports": [{"port": 80, "protocol": "udp"}]})), vec!["ports[0].protocol", "udp"]),
        (bad_address("p1"), vec!["endpoints[0].addresses[0]", "p1"]),
        (bad_address(""), vec!["endpoints[0].addresses[0]", "not an IP address"]),
        (bad_address("fd00::9"), vec!["endpoints[0].addresses[0]", "addressType"]),
    ]
}

#[test]
fn s6_malformed_objects_are_named_and_the_rest_is_served() {
    let scene = Setup::new("s6-api").origin(Origin::Api).backends(3).start();
    scene.put(&web("web", Family::BOTH.map(|family| family.cluster_ip(10))).build());
    over_both(|family| {
        scene.put(&web_slice("web", family).name(&family.name("web")).pod(scene.pod(1)).build());
        scene.expect(family.frontend(10), &["p1"]);
    });
    let mut rows = services();
    rows.extend(slices());
    rows.push((service_cidr("bad", &["10.98.0.0"]), vec!["ServiceCIDR bad", "spec.cidrs[0]", "10.98.0.0"]));
    rows.push((service_cidr("bad", &["0.0.0.0/0"]), vec!["ServiceCIDR bad", "spec.cidrs[0]", "loopback addresses"]));
    let mut own = lab_node(&scene.node).build();
    own["status"]["addresses"][1]["address"] = "nowhere".into();
    rows.push((own, vec!["Node a", "status.addresses[1].address", "nowhere"]));
    for (object, words) in &rows {
        println!("{object}");
        let mark = scene.waggle.log().mark();
        scene.put(object);
        scene.waggle.log().wait(mark, WAIT_LIMIT, |line| is_about(line, words)).unwrap();
        if object["kind"] != "Node" {
            let (kind, namespace, name) = identity(object);
            scene.objects.delete(&kind, if kind == "ServiceCIDR" { &namespace } else { NAMESPACE }, &name);
        }
        let after = scene.waggle.log().since(mark);
        assert_eq!(after.iter().filter(|line| is_about(line, words)).count(), 1, "{words:?} once: {after:#?}");
    }
    over_both(|family| scene.hold(family.frontend(10), &["p1"]));
    // Later changes are followed.
    over_both(|family| {
        scene.put(&web_slice("web", family).name(&family.name("web")).pod(scene.pod(2)).build());
        scene.expect(family.frontend(10), &["p2"]);
    });
}

#[test]
fn s6_an_object_serves_what_can_be_read_of_it() {
    let scene = Setup::new("s6-part").origin(Origin::Api).backends(3).start();
    let mut object = web("web", [Family::Ipv4.cluster_ip(10)]).build();
    object["spec"]["externalIPs"] = json!(["nonsense", " 203.000.113.01 "]);
    object["spec"]["ports"].as_array_mut().unwrap().push(json!({"name": "bad", "port": 0}));
    scene.put(&object);
    let mut object = web_slice("web", Family::Ipv4).pod(scene.pod(1)).pod(scene.pod(2)).build();
    object["endpoints"][0]["addresses"][0] = "nonsense".into();
    scene.put(&object);
    scene.expect(Family::Ipv4.frontend(10), &["p2"]);
    scene.expect((Family::Ipv4.external_ip(1), 80), &["p2"]);
    warned(&scene, &["\"service\":\"default/web\"", "spec.externalIPs[0]", "nonsense"]);
    warned(&scene, &["EndpointSlice default/web", "endpoints[0].addresses[0]", "nonsense"]);
}

#[test]
fn s6_an_object_that_becomes_unreadable_keeps_its_last_good_content() {
    let scene = Setup::new("s6-good").origin(Origin::Api).backends(3).start();
    let good = web("web", [Family::Ipv4.cluster_ip(10)]).build();
    scene.put(&good);
    scene.put(&web_slice("web", Family::Ipv4).pod(scene.pod(1)).build());
    scene.expect(Family::Ipv4.frontend(10), &["p1"]);
    let mut bad = good.clone();
    bad["spec"]["ports"] = json!("none");
    scene.put(&bad);
    warned(&scene, &["can't be read", "web"]);
    scene.hold(Family::Ipv4.frontend(10), &["p1"]);
    let mut moved = good;
    moved["spec"]["clusterIP"] = "10.96.0.11".into();
    moved["spec"]["clusterIPs"] = json!(["10.96.0.11"]);
    scene.put(&moved);
    scene.expect(Family::Ipv4.frontend(11), &["p1"]);
}

#[test]
fn s7_refused_endpoint_addresses_are_named_once_and_the_rest_is_served() {
    from_both_over_both("s7", |scene, family| {
        let (name, to) = (family.name("web"), family.frontend(10));
        scene.put(&web(&name, [family.cluster_ip(10)]).build());
        scene.put(&web_slice(&name, family).name(&family.name("good")).pod(scene.pod(1)).build());
        let refused: &[&str] = match family {
            Family::Ipv4 => &["0.0.0.0", "127.0.0.9", "169.254.7.7", "224.0.0.5"],
            Family::Ipv6 => &["::", "::1", "fe80::77", "ff02::55"],
        };
        // The folder refuses the whole slice, as the API server would. Only the model can check the Service's
        // ClusterIP.
        let slice =
            refused.iter().fold(web_slice(&name, family).name(&family.name("bad")), |slice, ip| slice.endpoint(ip));
        scene.put(&slice.build());
        scene.put(
            &web_slice(&name, family)
                .name(&family.name("own"))
                .endpoint(&to.ip().to_string())
                .pod(scene.pod(2))
                .build(),
        );
        scene.expect(to, &["p1", "p2"]);
        let own = to.ip().to_string();
        let bad = family.name("default/bad");
        let words: Vec<_> =
            refused.iter().zip(0..).map(|(_, index)| format!("endpoints[{index}].addresses[0]")).collect();
        for word in &words {
            warned(scene, &[&bad, word]);
        }
        warned(scene, &[&family.name("default/own"), &own]);
        // A change elsewhere in the object does not log it again.
        scene.put(&slice.pod(scene.pod(3)).build());
        scene.put(&web_slice(&name, family).name(&family.name("good")).pod(scene.pod(3)).build());
        scene.expect(to, &["p2", "p3"]);
        for word in &words {
            assert_eq!(warnings(scene, &[&bad, word]), 1, "{word}");
        }
        assert_eq!(warnings(scene, &[&family.name("default/own"), &own]), 1);
    });
}
