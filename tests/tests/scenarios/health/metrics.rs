//! The agent's metrics, as a scrape sees them.

use std::{collections::BTreeMap, net::SocketAddr};

use harness::{
    objects::{service, slice},
    scene::{Origin, Scene, Setup, cluster_ips, dual, from_outside_over_both, slices, until},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{METRICS, page, port};

/// Every series and its value as a whole number.
fn metrics(scene: &Scene) -> BTreeMap<String, u64> {
    let (code, text) = page(scene, "127.0.0.1", METRICS, "/metrics").expect("a page of metrics");
    assert_eq!(code, 200, "{text}");
    let series = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts and times are whole here")]
    let whole = |value: &str| value.parse::<f64>().map_or(u64::MAX, |value| value as u64);
    series.map(|(name, value)| (name.to_owned(), whole(value))).collect()
}

/// Puts the IPv4 slice of the Service `web` with this time of its last change. Each revision has other contents.
fn changed_at(scene: &Scene, annotation: &str, revision: usize) {
    let [mut slice, _] = slices("web", port, &[]).map(|slice| slice.build());
    let metadata = &mut slice["metadata"];
    metadata["annotations"] = json!({ "endpoints.kubernetes.io/last-change-trigger-time": annotation });
    metadata["labels"]["revision"] = json!(revision.to_string());
    scene.put(&slice);
}

#[test]
fn n11_only_changes_that_the_agent_has_made_have_a_programming_latency() {
    const COUNT: &str = "kubeproxy_network_programming_duration_seconds_count{ip_family=\"IPv4\"}";
    let mut scene = Setup::new("latency").object(dual("web", 10).port(80, 8080).build()).build();
    let after = |seconds| (Timestamp::now() + SignedDuration::from_secs(seconds)).to_string();
    changed_at(&scene, &after(-600), 0);
    scene.start();
    let events = || metrics(&scene)["kubeproxy_sync_proxy_rules_endpoint_changes_total"];
    let ignored = [after(-500), after(500), after(500), "yesterday".to_owned(), String::new()];
    for (number, annotation) in ignored.iter().enumerate() {
        let before = events();
        changed_at(&scene, annotation, 1 + number);
        until("the change has come", || events() > before);
    }
    assert_eq!(metrics(&scene)[COUNT], 0);
    let now = after(0);
    for revision in 10..13 {
        let before = events();
        changed_at(&scene, &now, revision);
        until("the change has come", || events() > before);
        until("it is in force", || metrics(&scene)[COUNT] == 1);
    }
    let before = events();
    scene.delete("EndpointSlice", "web");
    until("it is deleted", || events() > before);
    assert_eq!(metrics(&scene)[COUNT], 1, "an unchanged time and a deletion are no changes");
    assert_eq!(metrics(&scene)["kubeproxy_sync_proxy_rules_endpoint_changes_pending"], 0);
}

#[test]
fn s16_metrics_say_how_many_service_ports_have_no_endpoint_here() {
    let series = |policy: &str| {
        let labels = format!("ip_family=\"IPv6\",traffic_policy=\"{policy}\"");
        format!("kubeproxy_sync_proxy_rules_no_local_endpoints_total{{{labels}}}")
    };
    let mut scene = Setup::new("no-local").backends(1).build();
    scene.put(&dual("web", 10).kind("NodePort").port(80, 8080).internal_local().external_local().build());
    scene.start();
    let counts = |scene: &Scene| {
        let metrics = metrics(scene);
        [metrics[&series("internal")], metrics[&series("external")]]
    };
    let put = |scene: &Scene, node: &str| {
        for slice in slices("web", port, &[scene.pod(1)]) {
            scene.put(&slice.node(node).build());
        }
    };
    assert_eq!(counts(&scene), [0, 0], "there is none anywhere");
    let time = |name: &str| metrics(&scene)[&format!("kubeproxy_sync_proxy_rules_last_{name}_seconds")];
    assert!(time("timestamp") > 0 && time("queued_timestamp") > 0);
    put(&scene, "elsewhere");
    until("there is one elsewhere", || counts(&scene) == [1, 1]);
    put(&scene, scene.node.name());
    until("there is one here", || counts(&scene) == [0, 0]);
}

#[test]
fn s7_what_is_skipped_is_counted_until_it_is_mended() {
    let scene = Setup::new("skipped").origin(Origin::Api).start();
    let is = |wanted: [u64; 3]| {
        let metrics = metrics(&scene);
        let count = |kind, part| metrics[&format!("waggle_skipped{{kind=\"{kind}\",part=\"{part}\"}}")];
        [count("Service", "field"), count("EndpointSlice", "field"), count("Service", "object")] == wanted
    };
    until("nothing is skipped", || is([0, 0, 0]));
    let bad = service("bad").cluster_ip("10.96.0.66").port(80, 8080);
    scene.put(&bad.clone().external_ip("127.0.0.1").external_ip("0.0.0.0").build());
    scene.put(&slice("bad").port(8080).endpoint("127.0.0.7").build());
    until("addresses are skipped", || is([2, 1, 0]));
    let mut unreadable = service("worse").cluster_ip("10.96.0.67").port(80, 8080).build();
    unreadable["spec"]["ports"] = json!("none");
    scene.put(&unreadable);
    until("an object is skipped", || is([2, 1, 1]));
    scene.put(&bad.build());
    scene.delete("EndpointSlice", "bad");
    scene.delete("Service", "worse");
    until("nothing is skipped any more", || is([0, 0, 0]));
}

#[test]
fn n12_series_do_not_grow_with_what_comes_and_goes() {
    let mut scene = Setup::new("metrics").origin(Origin::Api).backends(1).args(["--metrics-services", "20"]).build();
    scene.start();
    scene.put(&dual("first", 9).port(80, 8080).build());
    until("the first is in force", || metrics(&scene)["waggle_services"] == 1);
    until("maps are counted", || metrics(&scene).contains_key("waggle_map_entries{map=\"SERVICES\"}"));
    let before = metrics(&scene);
    for number in 10..60 {
        scene.put(&dual(&format!("web-{number}"), number).port(80, 8080).build());
        scene.endpoints(&format!("web-{number}"), port, &[scene.pod(1)]);
    }
    until("all are in force", || metrics(&scene)["waggle_services"] == 51);
    let meanwhile = metrics(&scene);
    let of_services = |metrics: &BTreeMap<String, u64>| {
        metrics.keys().filter(|series| series.starts_with("waggle_service_connections_total{")).count()
    };
    assert_eq!((of_services(&before), of_services(&meanwhile)), (2, 20), "at most as many as the flag says");
    assert_eq!(meanwhile["waggle_service_ports_without_series"], 82);
    assert_eq!(meanwhile.len(), before.len() + 3 * 18, "nothing else has more series");
    for number in 10..60 {
        scene.remove(&format!("web-{number}"));
    }
    until("they are gone", || metrics(&scene)["waggle_services"] == 1);
    let after = metrics(&scene);
    assert!(before.keys().eq(after.keys()), "{before:?} {after:?}");
    let changes = "kubeproxy_sync_proxy_rules_service_changes_total";
    assert_eq!(after[changes] - before[changes], 100);
    assert!(after["waggle_plans_total"] > before["waggle_plans_total"]);
    let le = |bound: &str| after[&format!("kubeproxy_sync_proxy_rules_duration_seconds_bucket{{le=\"{bound}\"}}")];
    assert_eq!(le("+Inf"), after["waggle_plans_total"], "every plan is counted");
    assert_eq!(after["waggle_programming_duration_seconds_count{phase=\"apply\"}"], after["waggle_plans_total"]);
}

#[test]
fn n12_a_new_service_counts_from_zero_whatever_had_its_id() {
    let mut scene = Setup::new("counts").backends(1).build();
    scene.start();
    let series = |service: &str, what: &str| {
        let labels =
            format!("namespace=\"default\",service=\"{service}\",port=\"\",protocol=\"TCP\",ip_family=\"IPv4\"");
        format!("waggle_service_{what}_total{{{labels}}}")
    };
    let connections = |scene: &Scene, service: &str| metrics(scene).get(&series(service, "connections")).copied();
    // Freed ids are used again, the lowest first, but not in the first moment after they are freed.
    for round in 0..4 {
        for name in ["a", "b"] {
            let (service, number) = (format!("{name}-{round}"), 10 + round);
            scene.put(&dual(&service, if name == "a" { number } else { number + 100 }).port(80, 8080).build());
            scene.endpoints(&service, port, &[scene.pod(1)]);
            let to = cluster_ips(if name == "a" { number } else { number + 100 }, 80)[0];
            until("it is counted", || connections(&scene, &service) == Some(0));
            until("it answers", || scene.from_pod.tcp(to).is_ok());
            scene.from_pod.tcp(to).expect("it goes on answering");
            assert_eq!(connections(&scene, &service), Some(2));
            let packets = metrics(&scene)[&series(&service, "packets")];
            assert_eq!(packets, 0, "sockets translate no packets");
            scene.remove(&service);
            until("its series has gone", || connections(&scene, &service).is_none());
        }
    }
}

#[test]
fn metrics_say_how_full_maps_are_and_what_programs_cost() {
    let mut scene = Setup::new("full-maps").backends(1).args(["--max-slots", "1000"]).build();
    scene.start();
    // Lasts as long as the descriptor.
    let _counting = aya::sys::enable_stats(aya::sys::Stats::RunTime).expect("make the kernel count runs");
    scene.put(&dual("web", 10).port(80, 8080).build());
    scene.endpoints("web", port, &[scene.pod(1)]);
    let to = cluster_ips(10, 80)[0];
    until("it answers", || scene.from_pod.tcp(to).is_ok());
    let of = |metrics: &BTreeMap<String, u64>, name: &str, map: &str| metrics[&format!("{name}{{map=\"{map}\"}}")];
    until("the agent's maps are counted", || of(&metrics(&scene), "waggle_map_entries", "BACKENDS") == 2);
    let now = metrics(&scene);
    // Two frontends and two marks of their addresses.
    let wanted = [("SERVICES", 4), ("SLOTS", 2), ("SERVICE_NAMES", 2), ("MEMBERS", 0), ("SOURCE_RANGES", 0)];
    for (map, entries) in wanted {
        assert_eq!(of(&now, "waggle_map_entries", map), entries, "{map}");
    }
    assert_eq!(of(&now, "waggle_map_max_entries", "SLOTS"), 1000);
    let counted = ["AFFINITY", "CONNTRACK_IPV4", "EMBRYONIC_IPV6", "FLOW_BUCKETS_IPV4", "SOCKET_FLOWS", "FRAGMENTS"];
    for map in counted {
        assert!(of(&now, "waggle_map_max_entries", map) > of(&now, "waggle_map_entries", map), "{map}");
    }
    assert_ne!(now["waggle_program_runs_total{program=\"connect4\"}"], 0);
    assert!(now.contains_key("waggle_program_run_seconds_total{program=\"connect4\"}"));
    assert!(now["waggle_program_verified_instructions{program=\"connect4\"}"] > 100);
}

#[test]
fn metrics_tell_of_the_maps_that_serve_after_a_growth() {
    let scene = Setup::new("grown-maps").start();
    let of = |name: &str| metrics(&scene)[&format!("{name}{{map=\"SERVICES\"}}")];
    assert_eq!(of("waggle_map_max_entries"), 4096);
    // Each has two entries.
    let many = (0..2300).map(|number| {
        let address = format!("10.96.{}.{}", 16 + number / 256, number % 256);
        service(&format!("many-{number}")).cluster_ip(&address).port(80, 8080).build().to_string()
    });
    scene.folder().write("many.yaml", &many.collect::<Vec<_>>().join("\n---\n"));
    until("there is more room", || of("waggle_map_max_entries") > 4096);
    until("all are there", || of("waggle_map_entries") >= 4600);
}

#[test]
fn metrics_count_packets_flows_by_state_and_source_ports_by_backend() {
    // Small maps, since a count is not repeated before a hundred times its duration has passed.
    let sizes = ["conntrack", "embryonic", "affinity", "socket-flows", "backends", "services"]
        .map(|map| [format!("--max-{map}"), "2000".to_owned()]);
    from_outside_over_both(Setup::new("mflows").args(sizes.concat()), |outside, family| {
        let scene = &outside.scene;
        outside.serve(family, &outside.web(family), &[&outside.remote]);
        let to = outside.node_port(family);
        until("it answers", || outside.client.tcp(to).is_ok());
        let labels = format!("protocol=\"TCP\",ip_family=\"IPv{}\"", family.number());
        let series = |what: &str| {
            let labels = format!("namespace=\"default\",service=\"web\",port=\"tcp\",{labels}");
            format!("waggle_service_{what}_total{{{labels}}}")
        };
        // A Service answers a moment before the plan that it is in is published, from which the number of series comes.
        until("its series are there", || metrics(scene).contains_key(&series("packets")));
        let of_service = |what: &str| metrics(scene)[&series(what)];
        let (packets, bytes) = (of_service("packets"), of_service("bytes"));
        outside.client.tcp(to).expect("it goes on answering");
        assert!(of_service("packets") >= packets + 6 && of_service("bytes") > bytes + 6 * 54, "{labels}");
        // A count is valid for ten seconds.
        let backend = format!(
            "waggle_backend_source_port_flows_total{{backend=\"{}\"}}",
            SocketAddr::new(family.of(&outside.remote), 8080)
        );
        until("flows are counted", || {
            let metrics = metrics(scene);
            let closed =
                format!("waggle_flows{{ip_family=\"IPv{}\",protocol=\"TCP\",state=\"closed\"}}", family.number());
            metrics.get(&closed).is_some_and(|flows| *flows >= 2)
                && metrics.get(&backend).is_some_and(|flows| *flows >= 2)
        });
    });
}

#[test]
fn configuration_in_force_has_kube_proxys_names_and_no_secret() {
    let scene = Setup::new("configz").build();
    let _agent = scene.agent(&["--conntrack-tcp-timeout-established", "3600", "--metrics-services", "7"]);
    let configuration = || page(&scene, "127.0.0.1", METRICS, "/configz").ok();
    until("it is served", || configuration().is_some());
    let (code, text) = configuration().expect("a page");
    let served: Value = serde_json::from_str(&text).expect("JSON");
    let kube_proxys = &served["kubeproxy.config.k8s.io"];
    assert_eq!((code, &kube_proxys["kind"]), (200, &json!("KubeProxyConfiguration")));
    assert_eq!(kube_proxys["conntrack"]["tcpEstablishedTimeout"], "1h0m0s");
    assert_eq!(kube_proxys["hostnameOverride"], scene.node.name());
    assert_eq!(kube_proxys["metricsBindAddress"], "127.0.0.1:10249");
    assert_eq!(kube_proxys["nodePortAddresses"], json!(["primary"]));
    assert_eq!(served["waggle"]["metrics"]["services"], 7);
}

#[test]
fn s16_metrics_say_what_is_refused_and_why() {
    let mut scene = Setup::new("metrics-no").backends(1).build();
    scene.start();
    scene.put(&dual("empty", 13).port(80, 8080).build());
    let to = cluster_ips(13, 80)[0];
    until("refused", || scene.from_pod.tcp(to).is_err_and(|failure| failure.errno == "ECONNREFUSED"));
    let series = "waggle_rejected_total{reason=\"no_backend\"}";
    let before = metrics(&scene)[series];
    assert_ne!(before, 0);
    scene.from_pod.tcp(to).unwrap_err();
    assert_eq!(metrics(&scene)[series], before + 1);
}
