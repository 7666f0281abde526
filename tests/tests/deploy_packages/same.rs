//! Each kustomization for agents has a set of values with which the chart gives the same objects.

use serde_json::{Value, json};

use super::{
    changes::{Changes, changes},
    render::{Objects, Renderer},
};

/// Folders of `deploy/`, and the chart's values.
pub fn pairs() -> [(&'static str, Value); 8] {
    let cgroup = "/run/node-cgroup";
    [
        (".", json!({})),
        ("overlays/kubeadm", json!({ "kubeProxyConfigMap": "kube-proxy" })),
        ("overlays/monitoring", json!({ "monitoring": { "openPort": true, "rules": true, "dashboard": true } })),
        (
            "overlays/prometheus-operator",
            json!({ "monitoring": {
                "openPort": true, "rules": true, "dashboard": true, "serviceMonitor": true, "prometheusRule": true,
            } }),
        ),
        ("overlays/network-policy", json!({ "networkPolicy": { "enabled": true } })),
        ("overlays/cluster", json!({ "cgroup": cgroup })),
        ("overlays/cluster-tc", json!({ "cgroup": cgroup, "extraArgs": ["--device-mode=tc"] })),
        ("overlays/cluster-xdp", json!({ "cgroup": cgroup, "extraArgs": ["--devices=eth0", "--device-mode=xdp"] })),
    ]
}

/// The ConfigMap with the API server's address, which people make themselves; the chart has a flag for it instead.
const API_SERVER: &str = "ConfigMap/waggle-api-server";

fn without_the_api_server(mut objects: Objects) -> Objects {
    objects.remove(API_SERVER);
    objects
}

#[test]
fn the_chart_and_the_kustomizations_have_the_same_content() {
    let Some(renderer) = Renderer::find() else { return };
    for (folder, values) in pairs() {
        let chart = renderer.chart(&values).unwrap();
        let kustomization = renderer.kustomization(folder);
        let differences = changes(&without_the_api_server(kustomization), &chart);
        assert_eq!(differences, Changes::new(), "{folder} and the chart with {values}");
    }
}

#[test]
fn every_overlay_is_compared() {
    let overlays = std::fs::read_dir(super::render::deploy("overlays")).unwrap();
    let compared = pairs().map(|(folder, _)| folder);
    for overlay in overlays {
        let name = format!("overlays/{}", overlay.unwrap().file_name().display());
        assert!(compared.contains(&name.as_str()), "{name} is not compared with the chart");
    }
}
