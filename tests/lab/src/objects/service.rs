//! Services.

use serde_json::{Value, json};

use super::{NAMESPACE, append, object};

/// A Service under construction.
#[derive(Clone, Debug)]
pub struct ServiceBuilder {
    object: Value,
}

/// A Service without ports in the namespace `default`.
pub fn service(name: &str) -> ServiceBuilder {
    let mut object = object("v1", "Service", NAMESPACE, name);
    object["spec"] = json!({});
    ServiceBuilder { object }
}

impl From<Value> for ServiceBuilder {
    /// Continues with an existing object.
    fn from(object: Value) -> Self {
        Self { object }
    }
}

metadata!(ServiceBuilder, namespaced);

#[expect(missing_docs, reason = "each sets the field of its name")]
impl ServiceBuilder {
    /// Sets a field of the spec.
    #[must_use]
    pub fn spec(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.object["spec"][field] = value.into();
        self
    }

    /// Sets the type: `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`.
    #[must_use]
    pub fn kind(self, kind: &str) -> Self {
        self.spec("type", kind)
    }

    /// Adds a cluster address with its family; the first is also `clusterIP`.
    #[must_use]
    pub fn cluster_ip(mut self, address: &str) -> Self {
        let spec = &mut self.object["spec"];
        if spec["clusterIP"].is_null() {
            spec["clusterIP"] = address.into();
        }
        append(&mut spec["clusterIPs"], address.into());
        append(&mut spec["ipFamilies"], super::slice::family(address).into());
        let families = spec["ipFamilies"].as_array().map_or(0, Vec::len);
        spec["ipFamilyPolicy"] = if families > 1 { "RequireDualStack" } else { "SingleStack" }.into();
        self
    }

    /// Makes the Service headless.
    #[must_use]
    pub fn headless(self) -> Self {
        self.spec("clusterIP", "None").spec("clusterIPs", json!(["None"]))
    }

    /// Adds a TCP port without a name.
    #[must_use]
    pub fn port(self, port: u16, target: u16) -> Self {
        self.port_with(json!({"protocol": "TCP", "port": port, "targetPort": target}))
    }

    /// Adds a UDP port without a name.
    #[must_use]
    pub fn udp_port(self, port: u16, target: u16) -> Self {
        self.port_with(json!({"protocol": "UDP", "port": port, "targetPort": target}))
    }

    /// Adds a port with a name; `protocol` as in `TCP`.
    #[must_use]
    pub fn named_port(self, name: &str, protocol: &str, port: u16, target: u16) -> Self {
        self.port_with(json!({"name": name, "protocol": protocol, "port": port, "targetPort": target}))
    }

    /// Adds a port as it is.
    #[must_use]
    pub fn port_with(mut self, port: Value) -> Self {
        append(&mut self.object["spec"]["ports"], port);
        self
    }

    /// Sets the node port of the port added last; a plain Service becomes `type: NodePort`.
    #[must_use]
    pub fn node_port(mut self, number: u16) -> Self {
        let spec = &mut self.object["spec"];
        if let Some(last) = spec["ports"].as_array_mut().and_then(|ports| ports.last_mut()) {
            last["nodePort"] = number.into();
        }
        if spec["type"].is_null() {
            spec["type"] = "NodePort".into();
        }
        self
    }

    #[must_use]
    pub fn external_ip(mut self, address: &str) -> Self {
        append(&mut self.object["spec"]["externalIPs"], address.into());
        self
    }

    /// Adds an address to the load balancer's status; a plain Service becomes `type: LoadBalancer`.
    #[must_use]
    pub fn load_balancer_ip(self, address: &str) -> Self {
        self.ingress(json!({"ip": address}))
    }

    /// Adds an entry to the load balancer's status as it is.
    #[must_use]
    pub fn ingress(mut self, entry: Value) -> Self {
        append(&mut self.object["status"]["loadBalancer"]["ingress"], entry);
        if self.object["spec"]["type"].is_null() { self.kind("LoadBalancer") } else { self }
    }

    #[must_use]
    pub fn source_range(mut self, range: &str) -> Self {
        append(&mut self.object["spec"]["loadBalancerSourceRanges"], range.into());
        self
    }

    /// Sets `sessionAffinity: ClientIP`, with a timeout if given.
    #[must_use]
    pub fn client_ip_affinity(self, seconds: Option<u32>) -> Self {
        let service = self.spec("sessionAffinity", "ClientIP");
        match seconds {
            Some(seconds) => service.spec("sessionAffinityConfig", json!({"clientIP": {"timeoutSeconds": seconds}})),
            None => service,
        }
    }

    #[must_use]
    pub fn internal_local(self) -> Self {
        self.spec("internalTrafficPolicy", "Local")
    }

    #[must_use]
    pub fn external_local(self) -> Self {
        self.spec("externalTrafficPolicy", "Local")
    }

    #[must_use]
    pub fn selector(mut self, key: &str, value: &str) -> Self {
        self.object["spec"]["selector"][key] = value.into();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dual_stack_node_port_has_what_the_api_server_would_store() {
        let built = service("web").cluster_ip("10.96.0.10").cluster_ip("fd00:96::a").port(80, 8080).node_port(30080);
        assert_eq!(
            built.build(),
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"},
                   "spec": {"type": "NodePort", "clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10", "fd00:96::a"],
                            "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack",
                            "ports": [{"protocol": "TCP", "port": 80, "targetPort": 8080, "nodePort": 30080}]}})
        );
    }
}
