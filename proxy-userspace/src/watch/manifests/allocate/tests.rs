use std::collections::BTreeSet;

use super::*;
use crate::{
    logging::errors::Report,
    watch::manifests::sample::{self, assembled, assembled_after, service, services, shown},
};

const V4: [&str; 1] = ["10.96.0.0/24"];

fn manifest(name: &str, spec: &str) -> String {
    format!("---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: 80}}], {spec}}}\n")
}

fn node_port(name: &str, ports: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{type: NodePort, ports: {ports}}}\n"
    )
}

#[test]
fn s34_an_address_depends_on_neither_restart_nor_file_order() {
    let (a, b, c) = (manifest("a", ""), manifest("b", ""), manifest("c", ""));
    let first = assembled_after(&[("1.yaml", &a), ("2.yaml", &b)], &V4, &Allocations::default());
    let address = |assembled: &sample::Assembled, name| service(assembled, name).spec.cluster_ip.clone();
    assert_ne!(address(&first, "a"), address(&first, "b"));
    let swapped = assembled_after(&[("1.yaml", &b), ("2.yaml", &a)], &V4, &Allocations::default());
    assert_eq!(services(&first), services(&swapped));
    let more = assembled_after(&[("0.yaml", &c), ("1.yaml", &a)], &V4, &first.allocations);
    assert_eq!(address(&more, "a"), address(&first, "a"));
}

#[test]
fn s34_what_is_remembered_wins_over_what_would_be_chosen() {
    let fixed = assembled_after(&[("a.yaml", &manifest("a", "clusterIP: 10.96.0.7"))], &V4, &Allocations::default());
    let later = assembled_after(&[("a.yaml", &manifest("a", ""))], &V4, &fixed.allocations);
    assert_eq!(service(&later, "a").spec.cluster_ip.as_deref(), Some("10.96.0.7"));
}

#[test]
fn s34_a_chosen_address_goes_before_an_automatic_one() {
    let first = assembled(&manifest("a", ""));
    let taken = service(&first, "a").spec.cluster_ip.clone().expect("allocated");
    let text = manifest("a", "") + &manifest("b", &format!("clusterIP: {taken}"));
    let second = assembled_after(&[("a.yaml", &text)], &V4, &first.allocations);
    assert_eq!(service(&second, "b").spec.cluster_ip.as_ref(), Some(&taken));
    assert_ne!(service(&second, "a").spec.cluster_ip.as_ref(), Some(&taken));
}

#[test]
fn s34_chosen_addresses_are_inside_the_range_and_unique() {
    for (ip, reason) in [
        (
            "10.97.0.1",
            "the provided IP (10.97.0.1) is not in the valid range. The range of valid IPs is 10.96.0.0/24; --service-cidr sets it",
        ),
        ("10.96.0.0", "not in the valid range"),
        ("10.96.0.255", "not in the valid range"),
        ("10.96.0.5", "failed to allocate IP 10.96.0.5: provided IP is already allocated"),
    ] {
        let text = manifest("first", "clusterIP: 10.96.0.5") + &manifest("second", &format!("clusterIP: {ip}"));
        let assembled = assembled_after(&[("a.yaml", &text)], &V4, &Allocations::default());
        assert_eq!(services(&assembled).len(), 1, "{ip}");
        let [refusal] = &assembled.refusals[..] else { panic!("{:?}", assembled.refusals) };
        assert_eq!((refusal.object.as_str(), refusal.field.as_str()), ("Service default/second", "spec.clusterIPs"));
        assert!(refusal.reason.contains(reason), "{refusal:?}");
    }
}

#[test]
fn s34_a_range_is_used_up_without_its_first_and_last_address() {
    let text: String = (0..7).map(|index| manifest(&format!("s{index}"), "")).collect();
    let assembled = assembled_after(&[("a.yaml", &text)], &["10.96.0.0/29"], &Allocations::default());
    let given: BTreeSet<_> =
        services(&assembled).iter().filter_map(|service| service.spec.cluster_ip.clone()).collect();
    assert_eq!(given, (1..=6).map(|last| format!("10.96.0.{last}")).collect());
    assert!(assembled.refusals[0].reason.contains("range is full"), "{:?}", assembled.refusals);
}

#[test]
fn s34_automatic_addresses_come_from_the_upper_band_first() {
    let text: String = (0..239).map(|index| manifest(&format!("s{index}"), "")).collect();
    let assembled = assembled_after(&[("a.yaml", &text)], &V4, &Allocations::default());
    let given: BTreeSet<_> =
        services(&assembled).iter().filter_map(|service| service.spec.cluster_ip.clone()).collect();
    // 254 usable ones; the lower band is the first 16, so 238 fit above it.
    let lower = (1..=16).filter(|last| given.contains(&format!("10.96.0.{last}"))).count();
    assert_eq!((given.len(), lower), (239, 1));
}

#[test]
fn s34_families_are_given_as_the_policy_says() {
    let (v4, v6) = (vec!["IPv4"], vec!["IPv6"]);
    let (v46, v64) = (vec!["IPv4", "IPv6"], vec!["IPv6", "IPv4"]);
    for (spec, families) in [
        ("", &v4),
        ("ipFamilies: [IPv6]", &v6),
        ("ipFamilyPolicy: SingleStack", &v4),
        ("ipFamilyPolicy: PreferDualStack", &v46),
        ("ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv6]", &v64),
        ("ipFamilyPolicy: PreferDualStack, clusterIP: 'fd00:96::5'", &v64),
        ("clusterIP: 'fd00:96::5'", &v6),
        ("ipFamilyPolicy: RequireDualStack, clusterIPs: ['fd00:96::5', 10.96.0.9]", &v64),
    ] {
        let assembled = assembled(&manifest("a", spec));
        let spec = &service(&assembled, "a").spec;
        let addresses = spec.cluster_ips.clone().unwrap_or_default();
        let given: Vec<_> = addresses.iter().map(|ip| if ip.contains(':') { "IPv6" } else { "IPv4" }).collect();
        assert_eq!(&given, families, "{spec:?}");
        assert_eq!(spec.ip_families.as_ref().expect("complete"), families);
        assert_eq!(spec.cluster_ip.as_ref(), addresses.first());
    }
}

#[test]
fn s34_a_family_without_a_range_is_refused_unless_only_preferred() {
    for (spec, refusal) in [
        ("ipFamilyPolicy: PreferDualStack", None),
        (
            "ipFamilies: [IPv6]",
            Some(
                "6 Service default/a spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster; \
                 --service-cidr or a ServiceCIDR gives it a range of IPv6",
            ),
        ),
        (
            "ipFamilyPolicy: RequireDualStack",
            Some(
                "6 Service default/a spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack services; \
                 --service-cidr or a ServiceCIDR gives it a range of each family",
            ),
        ),
    ] {
        let assembled = assembled_after(&[("a.yaml", &manifest("a", spec))], &V4, &Allocations::default());
        assert_eq!(shown(&assembled.refusals).first().map(|text| &text[1..]), refusal.map(|text| &text[1..]), "{spec}");
        assert_eq!(services(&assembled).len(), usize::from(refusal.is_none()));
    }
}

#[test]
fn s34_headless_and_external_names_get_no_address() {
    let text = manifest("a", "clusterIP: None") + &manifest("b", "type: ExternalName, externalName: b.example");
    let assembled = assembled(&text);
    assert_eq!(service(&assembled, "a").spec.cluster_ips.as_deref(), Some(&["None".to_owned()][..]));
    assert_eq!(service(&assembled, "b").spec.cluster_ips, None);
}

#[test]
fn s35_node_ports_are_stable_and_unique_per_protocol() {
    let ports = "[{port: 53, name: t}, {port: 53, name: u, protocol: UDP}, {port: 80, name: h}]";
    let text = node_port("a", ports) + &node_port("b", ports);
    let first = assembled(&text);
    let given = |assembled: &sample::Assembled, name| -> Vec<_> {
        service(assembled, name).spec.ports.iter().flatten().filter_map(|port| port.node_port).collect()
    };
    let a = given(&first, "a");
    assert_eq!(a[0], a[1], "one number for both protocols");
    let all: BTreeSet<_> = a.iter().chain(&given(&first, "b")).copied().collect();
    assert_eq!(all.len(), 4);
    assert!(all.iter().all(|port| (30016..=30063).contains(port)), "the upper band first: {all:?}");
    let again = assembled_after(&[("a.yaml", &node_port("a", ports))], &V4, &first.allocations);
    assert_eq!(given(&again, "a"), a);
}

#[test]
fn s35_chosen_node_ports_are_in_the_range_and_free() {
    let chosen = |name, protocol: &str, port| {
        node_port(name, &format!("[{{port: 80, protocol: {protocol}, nodePort: {port}}}]"))
    };
    let outside = "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-30063";
    for (second, refusal) in [
        (chosen("b", "UDP", 30001), None),
        (
            chosen("b", "TCP", 30001),
            Some("spec.ports[0].nodePort: Invalid value: 30001: provided port is already allocated"),
        ),
        (chosen("b", "TCP", 80), Some(outside)),
    ] {
        let assembled = assembled(&(chosen("a", "TCP", 30001) + &second));
        assert_eq!(services(&assembled).len(), 1 + usize::from(refusal.is_none()));
        let refusals = shown(&assembled.refusals);
        assert_eq!(refusals.first().and_then(|text| text.split_once("default/b ")).map(|(_, text)| text), refusal);
    }
}

#[test]
fn s35_a_local_load_balancer_gets_a_health_check_port() {
    let local = assembled(&manifest("a", "type: LoadBalancer, externalTrafficPolicy: Local"));
    let spec = &service(&local, "a").spec;
    let ports = spec.ports.as_deref().unwrap_or_default();
    let check = spec.health_check_node_port.expect("allocated");
    assert!((30000..=30063).contains(&check) && ports[0].node_port.is_some_and(|port| port != check));
    let without = assembled(&manifest("a", "type: LoadBalancer, allocateLoadBalancerNodePorts: false"));
    let spec = &service(&without, "a").spec;
    assert_eq!((spec.ports.as_deref().unwrap_or_default()[0].node_port, spec.health_check_node_port), (None, None));
}

#[test]
fn n07_a_health_check_port_that_others_have_is_refused() {
    let local = |name, port| {
        let spec = format!("type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: {port}");
        manifest(name, &spec)
    };
    let taken = "spec.healthCheckNodePort: Invalid value: 30001: provided port is already allocated";
    for (first, second, refusal) in [
        (node_port("a", "[{port: 80, nodePort: 30001}]"), local("b", 30001), Some(taken)),
        (node_port("a", "[{port: 80, protocol: UDP, nodePort: 30001}]"), local("b", 30001), None),
        (local("a", 30001), local("b", 30001), Some(taken)),
        (local("a", 30001), local("b", 30002), None),
    ] {
        let assembled = assembled(&(first + &second));
        let refusals = shown(&assembled.refusals);
        assert_eq!(refusals.first().and_then(|text| text.split_once("default/b ")).map(|(_, text)| text), refusal);
    }
}

#[test]
fn s34_memory_survives_its_file_and_a_damaged_one_is_reported() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("new/allocations.json");
    assert_eq!(Allocations::load(&path).expect("no file is no fault"), Allocations::default());
    let allocations = assembled(&manifest("a", "")).allocations;
    allocations.save(&path).expect("saved");
    assert_eq!(Allocations::load(&path).expect("loaded"), allocations);
    for (damage, expected) in
        [("{", "EOF"), ("{\"version\": 9, \"services\": {}}", "version 9 is unknown"), ("", "EOF")]
    {
        std::fs::write(&path, damage).expect("written");
        let error = Report(&Allocations::load(&path).expect_err("damaged")).to_string();
        for part in ["allocations.json", "new ones are made", expected] {
            assert_eq!(error.matches(part).count(), 1, "{error}");
        }
    }
}
