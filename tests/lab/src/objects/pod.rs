//! Pods, which only a folder of manifests reads (S36, S37).

use serde_json::{Value, json};

use super::{NAMESPACE, append, object};

/// A Pod under construction.
#[derive(Clone, Debug)]
pub struct PodBuilder {
    object: Value,
}

/// A Pod without address, containers and conditions in the namespace `default`.
pub fn pod(name: &str) -> PodBuilder {
    let mut object = object("v1", "Pod", NAMESPACE, name);
    object["spec"] = json!({"containers": [{"name": "main"}]});
    PodBuilder { object }
}

metadata!(PodBuilder, namespaced);

#[expect(missing_docs, reason = "each sets the field of its name")]
impl PodBuilder {
    #[must_use]
    pub fn node(mut self, name: &str) -> Self {
        self.object["spec"]["nodeName"] = name.into();
        self
    }

    /// Adds an address; the first is also `podIP`.
    #[must_use]
    pub fn ip(mut self, address: &str) -> Self {
        let status = &mut self.object["status"];
        if status["podIP"].is_null() {
            status["podIP"] = address.into();
        }
        append(&mut status["podIPs"], json!({"ip": address}));
        self
    }

    /// Adds the condition `Ready`.
    #[must_use]
    pub fn ready(mut self, value: bool) -> Self {
        let status = if value { "True" } else { "False" };
        self.object["status"]["conditions"] = json!([{"type": "Ready", "status": status}]);
        self
    }

    #[must_use]
    pub fn phase(mut self, phase: &str) -> Self {
        self.object["status"]["phase"] = phase.into();
        self
    }

    /// Adds a named port of the container; `protocol` as in `TCP`.
    #[must_use]
    pub fn named_port(mut self, name: &str, protocol: &str, number: u16) -> Self {
        let port = json!({"name": name, "protocol": protocol, "containerPort": number});
        append(&mut self.object["spec"]["containers"][0]["ports"], port);
        self
    }

    /// Marks the Pod for deletion at that time (RFC 3339).
    #[must_use]
    pub fn deleted(mut self, time: &str) -> Self {
        self.object["metadata"]["deletionTimestamp"] = time.into();
        self
    }
}
