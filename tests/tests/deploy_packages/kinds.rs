//! Kubernetes knows every field of every object: each is read into the type that k8s-openapi has from Kubernetes' OpenAPI
//! schema, and written again. A field that is unknown would be lost, one of another type can't be read.

use k8s_openapi::api::{
    apps::v1::DaemonSet,
    core::v1::{ConfigMap, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    rbac::v1::{ClusterRole, ClusterRoleBinding},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    changes::{Changes, changes},
    render::{Objects, Renderer},
    same::pairs,
};

/// Returns an object without the fields that Kubernetes does not know; `None` for the Prometheus Operator's.
fn known(object: &Value) -> Result<Option<Value>, serde_json::Error> {
    fn read<K: DeserializeOwned + Serialize>(object: &Value) -> Result<Option<Value>, serde_json::Error> {
        K::deserialize(object).and_then(serde_json::to_value).map(Some)
    }
    match (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap()) {
        ("apps/v1", "DaemonSet") => read::<DaemonSet>(object),
        ("v1", "ConfigMap") => read::<ConfigMap>(object),
        ("v1", "Service") => read::<Service>(object),
        ("v1", "ServiceAccount") => read::<ServiceAccount>(object),
        ("networking.k8s.io/v1", "NetworkPolicy") => read::<NetworkPolicy>(object),
        ("rbac.authorization.k8s.io/v1", "ClusterRole") => read::<ClusterRole>(object),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding") => read::<ClusterRoleBinding>(object),
        ("monitoring.coreos.com/v1", "ServiceMonitor" | "PrometheusRule") => Ok(None),
        other => panic!("no type for {other:?}"),
    }
}

/// Panics if one of the objects has a field that is unknown or of another type.
fn check(what: &str, objects: &Objects) {
    let mut read = Objects::new();
    for (name, object) in objects {
        let known = known(object).unwrap_or_else(|error| panic!("{what}: {name}: {error}"));
        read.insert(name.clone(), known.unwrap_or_else(|| object.clone()));
    }
    assert_eq!(changes(objects, &read), Changes::new(), "{what} has fields that Kubernetes does not know");
}

#[test]
fn kubernetes_knows_every_field_of_every_package() {
    let Some(renderer) = Renderer::find() else { return };
    let folders = pairs().map(|(folder, _)| folder);
    for folder in folders.into_iter().chain(["cleanup", "cleanup-kube-proxy"]) {
        check(folder, &renderer.kustomization(folder));
    }
    let values = super::values::rows().into_iter().map(|row| row.values());
    for values in values.chain(pairs().map(|(_, values)| values)) {
        check(&format!("the chart with {values}"), &renderer.chart(&values).unwrap());
    }
}

#[test]
fn an_unknown_field_and_one_of_another_type_are_noticed() {
    let account = |fields: Value| json!({ "apiVersion": "v1", "kind": "ServiceAccount", "secretes": fields });
    assert_ne!(known(&account(json!([]))).unwrap(), Some(account(json!([]))));
    let daemons = |count: Value| json!({ "apiVersion": "apps/v1", "kind": "DaemonSet", "spec": { "minReadySeconds": count, "selector": {}, "template": {} } });
    assert!(known(&daemons(json!("soon"))).is_err());
    assert!(known(&daemons(json!(3))).is_ok());
}
