//! The NetworkPolicy of the chart and of `deploy/network-policy`: only for those who ask for it, for the agents, and for the ports
//! where they listen.

use proxy_userspace::config::{HEALTH_PORT, METRICS_PORT, PAGE_PORT};
use serde_json::{Value, json};

use super::{
    render::{Objects, Renderer},
    same::pairs,
};

/// The only NetworkPolicy of these objects, if there is one.
fn policy(objects: &Objects) -> Option<&Value> {
    let mut policies = objects.values().filter(|object| object["kind"] == "NetworkPolicy");
    let policy = policies.next();
    assert!(policies.next().is_none(), "there are several");
    policy
}

/// The ports of a rule.
fn ports(policy: &Value, rule: usize) -> Vec<&Value> {
    let ports = policy["spec"]["ingress"][rule]["ports"].as_array().unwrap();
    assert!(ports.iter().all(|port| port["protocol"] == "TCP"), "{ports:?}");
    ports.iter().map(|port| &port["port"]).collect()
}

#[test]
fn a_network_policy_is_opt_in() {
    let Some(renderer) = Renderer::find() else { return };
    for (folder, values) in pairs() {
        let is_asked_for = values.pointer("/networkPolicy/enabled").is_some();
        for objects in [renderer.kustomization(folder), renderer.chart(&values).unwrap()] {
            assert_eq!(policy(&objects).is_some(), is_asked_for, "{folder} and the chart with {values}");
        }
    }
}

#[test]
fn it_selects_the_agents_and_restricts_nothing_that_they_send() {
    let Some(renderer) = Renderer::find() else { return };
    let objects = renderer.kustomization("overlays/network-policy");
    let policy = policy(&objects).unwrap();
    let agents = &objects["DaemonSet/waggle"];
    assert_eq!(policy["metadata"]["namespace"], agents["metadata"]["namespace"]);
    assert_eq!(policy["spec"]["podSelector"]["matchLabels"], agents["spec"]["template"]["metadata"]["labels"]);
    assert_eq!((&policy["spec"]["policyTypes"], policy["spec"].get("egress")), (&json!(["Ingress"]), None));
}

#[test]
fn health_checks_are_open_and_metrics_restricted() {
    let Some(renderer) = Renderer::find() else { return };
    for (has_page, other_ports) in [(false, &[METRICS_PORT][..]), (true, &[METRICS_PORT, PAGE_PORT])] {
        let values = json!({ "networkPolicy": { "enabled": true }, "page": { "enabled": has_page } });
        let objects = renderer.chart(&values).unwrap();
        let policy = policy(&objects).unwrap();
        assert_eq!(policy["spec"]["ingress"].as_array().unwrap().len(), 2);
        // Health check node ports are the agents', too: a load balancer that can't ask them sends the node nothing.
        assert_eq!(ports(policy, 0), [&json!(HEALTH_PORT), &json!(30000)]);
        assert_eq!(policy["spec"]["ingress"][0]["ports"][1]["endPort"], 32767);
        assert_eq!(policy["spec"]["ingress"][0].get("from"), None, "everybody");
        assert_eq!(json!(ports(policy, 1)), json!(other_ports));
        assert!(!policy["spec"]["ingress"][1]["from"].as_array().unwrap().is_empty());
    }
}
