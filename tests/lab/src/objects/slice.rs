//! EndpointSlices.

use serde_json::{Value, json};

use super::{NAMESPACE, append, object};
use crate::Pod;

/// An EndpointSlice under construction. Methods after `endpoint` refine the endpoint added last.
#[derive(Clone, Debug)]
pub struct SliceBuilder {
    object: Value,
}

/// A slice of the Service of that name in the namespace `default`. It has the Service's name, IPv4, and no ports or
/// endpoints.
pub fn slice(service: &str) -> SliceBuilder {
    let mut object = object("discovery.k8s.io/v1", "EndpointSlice", NAMESPACE, service);
    object["metadata"]["labels"] = json!({"kubernetes.io/service-name": service});
    object["addressType"] = "IPv4".into();
    object["endpoints"] = json!([]);
    object["ports"] = json!([]);
    SliceBuilder { object }
}

/// `IPv4` or `IPv6`, as the address is written.
pub(super) fn family(address: &str) -> &'static str {
    if address.contains(':') { "IPv6" } else { "IPv4" }
}

metadata!(SliceBuilder, namespaced);

#[expect(missing_docs, reason = "each sets the field of its name")]
impl SliceBuilder {
    /// Sets another name than the Service's, where a Service has several slices.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.object["metadata"]["name"] = name.into();
        self
    }

    /// Sets the address type: `IPv4`, `IPv6` or `FQDN`.
    #[must_use]
    pub fn address_type(mut self, kind: &str) -> Self {
        self.object["addressType"] = kind.into();
        self
    }

    /// Adds a TCP port with the empty name.
    #[must_use]
    pub fn port(self, number: u16) -> Self {
        self.port_with(json!({"name": "", "protocol": "TCP", "port": number}))
    }

    /// Adds a UDP port with the empty name.
    #[must_use]
    pub fn udp_port(self, number: u16) -> Self {
        self.port_with(json!({"name": "", "protocol": "UDP", "port": number}))
    }

    /// Adds a port with a name.
    #[must_use]
    pub fn named_port(self, name: &str, protocol: &str, number: u16) -> Self {
        self.port_with(json!({"name": name, "protocol": protocol, "port": number}))
    }

    /// Adds a port as it is.
    #[must_use]
    pub fn port_with(mut self, port: Value) -> Self {
        append(&mut self.object["ports"], port);
        self
    }

    /// Adds an endpoint without conditions; the slice takes the family of the address.
    #[must_use]
    pub fn endpoint(mut self, address: &str) -> Self {
        self.object["addressType"] = family(address).into();
        self.endpoint_with(json!({"addresses": [address]}))
    }

    /// Adds a lab's pod as an endpoint, with its node's name and its address of the slice's family.
    #[must_use]
    pub fn pod(self, pod: &Pod) -> Self {
        let [v4, v6] = pod.addresses();
        let address = if self.object["addressType"] == "IPv6" { v6 } else { v4 };
        self.endpoint(&address.to_string()).node(pod.node_name())
    }

    /// Adds an endpoint as it is.
    #[must_use]
    pub fn endpoint_with(mut self, endpoint: Value) -> Self {
        append(&mut self.object["endpoints"], endpoint);
        self
    }

    #[must_use]
    pub fn node(self, name: &str) -> Self {
        self.on_last(|endpoint| endpoint["nodeName"] = name.into())
    }

    #[must_use]
    pub fn zone(self, name: &str) -> Self {
        self.on_last(|endpoint| endpoint["zone"] = name.into())
    }

    #[must_use]
    pub fn ready(self, value: bool) -> Self {
        self.condition("ready", value)
    }

    #[must_use]
    pub fn serving(self, value: bool) -> Self {
        self.condition("serving", value)
    }

    #[must_use]
    pub fn terminating(self, value: bool) -> Self {
        self.condition("terminating", value)
    }

    /// Marks a pod that terminates but still answers: not ready, serving, terminating.
    #[must_use]
    pub fn draining(self) -> Self {
        self.ready(false).serving(true).terminating(true)
    }

    #[must_use]
    pub fn zone_hint(self, zone: &str) -> Self {
        self.on_last(|endpoint| append(&mut endpoint["hints"]["forZones"], json!({"name": zone})))
    }

    #[must_use]
    pub fn node_hint(self, node: &str) -> Self {
        self.on_last(|endpoint| append(&mut endpoint["hints"]["forNodes"], json!({"name": node})))
    }

    fn condition(self, name: &str, value: bool) -> Self {
        self.on_last(|endpoint| endpoint["conditions"][name] = value.into())
    }

    fn on_last(mut self, change: impl FnOnce(&mut Value)) -> Self {
        let endpoints = self.object["endpoints"].as_array_mut();
        change(endpoints.and_then(|list| list.last_mut()).expect("an endpoint is added before it is refined"));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refinements_belong_to_the_last_endpoint() {
        let built = slice("web").port(8080).endpoint("fd00::1").node("a").endpoint("fd00::2").draining().zone_hint("z");
        let built = built.build();
        assert_eq!(built["addressType"], "IPv6");
        assert_eq!(built["endpoints"][0], json!({"addresses": ["fd00::1"], "nodeName": "a"}));
        let conditions = json!({"ready": false, "serving": true, "terminating": true});
        let hints = json!({"forZones": [{"name": "z"}]});
        assert_eq!(built["endpoints"][1], json!({"addresses": ["fd00::2"], "conditions": conditions, "hints": hints}));
    }
}
