//! Every query of the dashboard and of the rules, asked of a Prometheus that scrapes an agent with traffic.

use std::collections::BTreeSet;

use harness::scene::{Family, Origin, Outside, Setup, from_outside_by, until};
use serde_json::Value;

use super::{dashboard, is_there, prometheus::Prometheus, promtool, rules};
use crate::health::{METRICS, page};

/// promtool's complaint about kube-proxy's name for a gauge.
const KUBE_PROXYS: &str =
    "kubeproxy_sync_proxy_rules_no_local_endpoints_total non-counter metrics should not have \"_total\" suffix";

/// The queries of a dashboard with the titles of their panels, for all nodes.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let mut queries: Vec<(String, String)> = panels
        .flat_map(|panel| {
            let title = panel["title"].as_str().expect("a title");
            let targets = panel["targets"].as_array().cloned().unwrap_or_default();
            targets
                .into_iter()
                .map(move |target| (title.to_owned(), target["expr"].as_str().expect("a query").to_owned()))
        })
        .collect();
    for variable in dashboard["templating"]["list"].as_array().expect("variables") {
        if let Some(query) = variable["query"]["query"].as_str() {
            let metric =
                query.strip_prefix("label_values(").and_then(|query| query.split_once(", ")).expect("its form").0;
            queries.push((variable["name"].to_string(), metric.to_owned()));
        }
    }
    let concrete = |query: String| query.replace("$__rate_interval", "1m").replace("$instance", ".*");
    queries.into_iter().map(|(title, query)| (title, concrete(query))).collect()
}

/// The names of metrics in an expression.
fn metrics_in(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_' && letter != ':');
    words.filter(|word| {
        *word == "up"
            || ["waggle_", "waggle:", "kubeproxy_", "process_", "rest_"].iter().any(|start| word.starts_with(start))
    })
}

/// Connections from outside to a backend on another node, over both families, and from a pod.
fn traffic(outside: &Outside) {
    for family in Family::BOTH {
        let name = family.name("web");
        let service = harness::scene::web_node_port(&name, [family.cluster_ip(1)], 30_080 + u16::from(family.number()));
        let slice = harness::scene::web_slice(&name, family).pod(&outside.remote);
        outside.scene.put(&service.build());
        outside.scene.put(&slice.build());
        let to = std::net::SocketAddr::new(family.of(&outside.scene.node), 30_080 + u16::from(family.number()));
        until("connections from outside", || outside.client.tcp(to).is_ok());
        until("connections from a pod", || outside.scene.from_pod.tcp(family.frontend(1)).is_ok());
    }
}

#[test]
fn every_query_of_dashboard_and_rules_has_an_answer_from_an_agent() {
    if !is_there() {
        return;
    }
    from_outside_by("auto", Setup::new("prom").origin(Origin::Api), |outside| {
        let _counting = aya::sys::enable_stats(aya::sys::Stats::RunTime).expect("make the kernel count runs");
        let prometheus = Prometheus::start(&outside.scene);
        traffic(outside);
        let answer = |title: &str, query: &str| {
            let mut last = Vec::new();
            until(&format!("{title}: {query}"), || {
                let Ok(answer) = prometheus.query(query) else { return false };
                last = answer.unwrap_or_else(|error| panic!("{title}: {query}: {error}"));
                !last.is_empty()
            });
            last
        };
        answer("the agent is scraped", "up{job=\"waggle\"} == 1");
        for (title, query) in queries(&dashboard()) {
            answer(&title, &query);
        }
        let annotation =
            dashboard()["annotations"]["list"][0]["expr"].as_str().expect("a query").replace("$instance", ".*");
        prometheus.query(&annotation).expect("Prometheus").expect("a query that it accepts");
        check_rules(&prometheus, answer);
    });
}

fn check_rules(prometheus: &Prometheus<'_>, answer: impl Fn(&str, &str) -> Vec<Value>) {
    for rule in rules() {
        if let Some(name) = rule["record"].as_str() {
            answer("a recording rule", name);
        }
        let expression = rule["expr"].as_str().expect("an expression");
        for metric in metrics_in(expression).collect::<BTreeSet<_>>() {
            answer(&format!("a metric of {expression}"), metric);
        }
    }
    let groups = prometheus.get("/api/v1/rules").expect("the rules' page")["data"]["groups"].clone();
    let evaluated =
        groups.as_array().expect("groups").iter().flat_map(|group| group["rules"].as_array().expect("rules"));
    let mut count = 0;
    for rule in evaluated {
        assert_eq!(rule["health"], "ok", "{rule}");
        count += 1;
    }
    assert_eq!(count, rules().len());
    let firing = prometheus.query("ALERTS{alertstate=\"firing\"}").expect("Prometheus").expect("a query");
    assert_eq!(firing, Vec::<Value>::new(), "nothing is wrong");
}

#[test]
fn promtool_finds_no_fault_with_the_metrics() {
    if !is_there() {
        return;
    }
    from_outside_by("auto", Setup::new("promtool").origin(Origin::Api), |outside| {
        traffic(outside);
        let (_, text) = page(&outside.scene, "127.0.0.1", METRICS, "/metrics").expect("a page of metrics");
        let (_, said) = promtool(&["check", "metrics"], Some(&text));
        assert_eq!(said.trim(), KUBE_PROXYS);
    });
}
