//! The Services of a scenario as one file of manifests, and their addresses and ports, from which the rule set is made
//! too.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use harness::objects::{service, slice};

use crate::orders::{ACCEPT, ECHO, SINK};

/// Range of the cluster IPs.
pub const SERVICE_CIDR: &str = "10.96.0.0/16";

/// Range of the node ports: larger than in any cluster, and outside of the range from which hosts choose ports.
pub const NODE_PORTS: &str = "10000-29999";
/// The largest number of Services with node ports.
pub const MAX_NODE_PORTS: u32 = 19_000;

/// Port of the Services that are not measured, and of their endpoints.
pub const OTHER_PORT: u16 = 80;

/// Name, protocol and number of the measured Service's ports. The backend has the same numbers.
pub const MEASURED: [(&str, &str, u16); 4] =
    [("accept", "TCP", ACCEPT), ("echo", "TCP", ECHO), ("sink", "TCP", SINK), ("echo-udp", "UDP", ECHO)];

/// The Services of a scenario.
#[derive(Clone, Copy, Debug)]
pub struct Services {
    /// The number of Services. The first one is measured.
    pub count: u32,
    /// The number of endpoints of every other Service.
    pub endpoints: u32,
    /// The only endpoint of the measured Service.
    pub backend: Ipv4Addr,
    /// Whether each Service has a node port.
    pub node_ports: bool,
}

/// The cluster IP of Service `number`. Service 0 is the measured one.
pub fn cluster_ip(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 96, 0, 10).to_bits() + number)
}

/// The node port for a port of the measured Service.
pub const fn measured_node_port(port: u16) -> u16 {
    10_000 + port % 1000
}

/// The node port of Service `number`, from 1 on.
pub fn other_node_port(number: u32) -> u16 {
    u16::try_from(number + 10_100).unwrap_or(u16::MAX)
}

/// An address that no pod has, for endpoint `endpoint` of `endpoints` of Service `number`.
pub fn endpoint(number: u32, endpoint: u32, endpoints: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 128, 0, 0).to_bits() + number * endpoints + endpoint)
}

/// A `List` of the Services.
pub fn list(services: &Services) -> String {
    let Services { count, endpoints, .. } = *services;
    let mut items = measured(services).to_vec();
    for number in 1..count {
        let name = format!("s{number}");
        let others = (0..endpoints).map(|index| endpoint(number, index, endpoints).to_string());
        let service = service(&name).cluster_ip(&cluster_ip(number).to_string()).port(OTHER_PORT, OTHER_PORT);
        let service = if services.node_ports { service.node_port(other_node_port(number)) } else { service };
        items.push(service.build());
        items.push(others.fold(slice(&name).port(OTHER_PORT), |slice, address| slice.endpoint(&address)).build());
    }
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

fn measured(services: &Services) -> [Value; 2] {
    let mut service = service("measured").cluster_ip(&cluster_ip(0).to_string());
    let mut slice = slice("measured");
    for (name, protocol, port) in MEASURED {
        service = service.named_port(name, protocol, port, port);
        if services.node_ports {
            service = service.node_port(measured_node_port(port));
        }
        slice = slice.named_port(name, protocol, port);
    }
    [service.build(), slice.endpoint(&services.backend.to_string()).build()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(node_ports: bool) -> Vec<Value> {
        let services = Services { count: 3, endpoints: 2, backend: Ipv4Addr::new(10, 244, 1, 1), node_ports };
        let list: Value = serde_json::from_str(&list(&services)).unwrap();
        list["items"].as_array().unwrap().clone()
    }

    #[test]
    fn list_has_a_service_and_a_slice_for_each() {
        let items = items(false);
        assert_eq!(items.len(), 6);
        assert_eq!(items[1]["endpoints"][0]["addresses"][0], "10.244.1.1");
        assert_eq!(items[4]["spec"]["clusterIP"], "10.96.0.12");
        assert!(items[4]["spec"]["type"].is_null());
        assert_eq!(items[5]["endpoints"][1]["addresses"][0], "10.128.0.5");
    }

    #[test]
    fn every_port_has_a_node_port_where_wanted() {
        let items = items(true);
        assert_eq!(items[0]["spec"]["type"], "NodePort");
        assert_eq!(items[0]["spec"]["ports"][3]["nodePort"], 10_002);
        assert_eq!(items[4]["spec"]["ports"][0]["nodePort"], 10_102);
    }
}
