//! The Services of a scenario as one file of manifests, and their addresses, which the rule set shares.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use harness::objects::{service, slice};

use crate::orders::{ACCEPT, ECHO, SINK};

/// Range of the cluster IPs.
pub const SERVICE_CIDR: &str = "10.96.0.0/16";

/// Port of the Services that are only there, and of their endpoints.
pub const OTHER_PORT: u16 = 80;

/// Cluster IP of Service `number` from 0: the measured one.
pub fn cluster_ip(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 96, 0, 10).to_bits() + number)
}

/// An address that nobody has, for endpoint `endpoint` of `endpoints` of Service `number`.
pub fn endpoint(number: u32, endpoint: u32, endpoints: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 128, 0, 0).to_bits() + number * endpoints + endpoint)
}

/// A `List` of the Services: the first one's only endpoint is `backend`.
pub fn list(services: u32, endpoints: u32, backend: Ipv4Addr) -> String {
    let mut items = measured(backend).to_vec();
    for number in 1..services {
        let name = format!("s{number}");
        let others = (0..endpoints).map(|index| endpoint(number, index, endpoints).to_string());
        let slice = slice(&name).port(OTHER_PORT);
        items.push(service(&name).cluster_ip(&cluster_ip(number).to_string()).port(OTHER_PORT, OTHER_PORT).build());
        items.push(others.fold(slice, |slice, address| slice.endpoint(&address)).build());
    }
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

fn measured(backend: Ipv4Addr) -> [Value; 2] {
    let mut service = service("measured").cluster_ip(&cluster_ip(0).to_string());
    let mut slice = slice("measured");
    for (name, protocol, port) in
        [("accept", "TCP", ACCEPT), ("echo", "TCP", ECHO), ("sink", "TCP", SINK), ("echo-udp", "UDP", ECHO)]
    {
        service = service.named_port(name, protocol, port, port);
        slice = slice.named_port(name, protocol, port);
    }
    [service.build(), slice.endpoint(&backend.to_string()).build()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_has_a_service_and_a_slice_for_each() {
        let list: Value = serde_json::from_str(&list(3, 2, Ipv4Addr::new(10, 244, 1, 1))).unwrap();
        let items = list["items"].as_array().unwrap();
        assert_eq!(items.len(), 6);
        assert_eq!(items[1]["endpoints"][0]["addresses"][0], "10.244.1.1");
        assert_eq!(items[4]["spec"]["clusterIP"], "10.96.0.12");
        assert_eq!(items[5]["endpoints"][1]["addresses"][0], "10.128.0.5");
    }
}
