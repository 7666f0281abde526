//! What Helm prints after an installation: commands for this namespace and this instance.

use clap::Parser as _;
use proxy_userspace::commands::cli::Cli;
use serde_json::json;

use super::render::Renderer;

/// The command lines in the notes.
fn commands(notes: &str) -> Vec<&str> {
    notes.lines().filter_map(|line| line.strip_prefix("  ")).collect()
}

#[test]
fn the_notes_name_the_namespace_and_the_instance() {
    let Some(renderer) = Renderer::find() else { return };
    let notes = renderer.notes("kube-system", &json!({}));
    let expected = [
        "kubectl -n kube-system rollout status daemonset/waggle",
        "kubectl -n kube-system exec daemonset/waggle -- waggle get services",
    ];
    assert_eq!(commands(&notes), expected, "{notes}");
    let notes = renderer.notes("net", &json!({ "instance": "blue", "page": { "enabled": true } }));
    let expected = [
        "kubectl -n net rollout status daemonset/waggle-blue",
        "kubectl -n net exec daemonset/waggle-blue -- waggle get services --instance=blue",
        "kubectl label namespace net pod-security.kubernetes.io/enforce=privileged",
        "kubectl -n net get pods -o wide -l app.kubernetes.io/instance=waggle-blue",
        "kubectl -n net port-forward pod/POD 10247",
    ];
    assert_eq!(commands(&notes), expected, "{notes}");
    let (_, typed) = expected[1].split_once(" -- ").unwrap();
    Cli::try_parse_from(typed.split(' ')).unwrap();
}

#[test]
fn the_notes_say_what_an_agent_needs_without_kube_proxy() {
    let Some(renderer) = Renderer::find() else { return };
    let needs = "Neither apiServer.host nor kubeProxyConfigMap is set.";
    assert!(renderer.notes("kube-system", &json!({})).contains(needs));
    for values in [json!({ "apiServer": { "host": "192.0.2.10" } }), json!({ "kubeProxyConfigMap": "kube-proxy" })] {
        assert!(!renderer.notes("kube-system", &values).contains(needs), "{values}");
    }
}
