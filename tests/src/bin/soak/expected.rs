//! What must be in the maps, by the objects alone: every frontend of every Service, each with the Cluster list of its family. It
//! knows what the soak's objects have, and nothing of the agent.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use serde_json::Value;

/// A frontend: the names of Service and port, the protocol, the kind, and the address as `waggle get services` prints it.
pub type Row = [String; 5];
/// The backends of each frontend.
pub type Rows = BTreeMap<Row, BTreeSet<String>>;

/// The rows that follow from Services and EndpointSlices.
pub fn rows(objects: &[&Value]) -> Rows {
    let of_kind = |kind: &'static str| objects.iter().copied().filter(move |object| object["kind"] == kind);
    let mut rows = Rows::new();
    for service in of_kind("Service") {
        let name = text(&service["metadata"]["name"]);
        let slices: Vec<_> = of_kind("EndpointSlice").filter(|slice| service_of(slice) == name).collect();
        for port in list(&service["spec"]["ports"]) {
            for (kind, address) in frontends(service, port) {
                let row =
                    [name.clone(), text(&port["name"]), text(&port["protocol"]), kind.to_owned(), address.shown()];
                rows.insert(row, backends(&slices, port, address.is_ipv6()));
            }
        }
    }
    rows
}

/// The rows that `waggle get services` prints. An error says which of them is damaged.
pub fn read(printed: &[Value]) -> anyhow::Result<Rows> {
    let mut rows = Rows::new();
    for row in printed {
        let names = ["name", "port", "protocol", "type", "address"].map(|field| text(&row[field]));
        let [internal, external]: [BTreeSet<_>; 2] =
            [&row["internal"], &row["external"]].map(|list_of| list(&list_of["backends"]).iter().map(text).collect());
        let is_damaged = ["internal", "external"].iter().any(|name| row[*name]["damaged"] != 0);
        anyhow::ensure!(internal == external && !is_damaged, "the lists of a frontend: {row}");
        rows.insert(names, internal);
    }
    Ok(rows)
}

/// Where a frontend is.
#[derive(Clone, Copy)]
enum Place {
    At(SocketAddr),
    /// A node port of IPv4, or of IPv6.
    Node(u64, bool),
}

impl Place {
    fn is_ipv6(self) -> bool {
        match self {
            Self::At(address) => address.is_ipv6(),
            Self::Node(_, is_ipv6) => is_ipv6,
        }
    }

    fn shown(self) -> String {
        match self {
            Self::At(address) => address.to_string(),
            Self::Node(port, false) => format!("*:{port}"),
            Self::Node(port, true) => format!("[*]:{port}"),
        }
    }
}

fn frontends(service: &Value, port: &Value) -> Vec<(&'static str, Place)> {
    let number = port["port"].as_u64().and_then(|number| number.try_into().ok()).unwrap_or_default();
    let at = |kind, value: &Value| {
        let address = value.as_str().and_then(|text| text.parse::<IpAddr>().ok());
        address.map(|address| (kind, Place::At(SocketAddr::new(address, number))))
    };
    let spec = &service["spec"];
    let mut found: Vec<_> = list(&spec["clusterIPs"]).iter().filter_map(|value| at("ClusterIP", value)).collect();
    if let Some(node_port) = port["nodePort"].as_u64() {
        let families = found.iter().map(|(_, place)| ("NodePort", Place::Node(node_port, place.is_ipv6())));
        found = families.collect::<Vec<_>>().into_iter().chain(found).collect();
    }
    found.extend(list(&spec["externalIPs"]).iter().filter_map(|value| at("ExternalIP", value)));
    let ingress = list(&service["status"]["loadBalancer"]["ingress"]);
    found.extend(ingress.iter().filter_map(|entry| at("LoadBalancer", &entry["ip"])));
    found
}

fn backends(slices: &[&Value], port: &Value, is_ipv6: bool) -> BTreeSet<String> {
    let family = if is_ipv6 { "IPv6" } else { "IPv4" };
    let of_slice = |slice: &&Value| {
        let is_it =
            |other: &&Value| ["name", "protocol"].iter().all(|field| text(&other[*field]) == text(&port[*field]));
        let number = list(&slice["ports"]).iter().find(is_it).and_then(|port| port["port"].as_u64());
        let number = number.and_then(|number| u16::try_from(number).ok());
        let addresses = list(&slice["endpoints"]).iter().filter_map(|endpoint| endpoint["addresses"][0].as_str());
        let addresses = addresses.filter_map(|address| address.parse::<IpAddr>().ok());
        addresses.filter_map(|address| Some(SocketAddr::new(address, number?).to_string())).collect::<Vec<_>>()
    };
    slices.iter().filter(|slice| slice["addressType"] == family).flat_map(of_slice).collect()
}

fn service_of(slice: &Value) -> &str {
    slice["metadata"]["labels"]["kubernetes.io/service-name"].as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use harness::{
        objects::{service as service_without, slice},
        scene::{Family, web_node_port},
    };

    use super::*;

    #[test]
    fn every_frontend_has_the_backends_of_its_port_and_family() {
        let service = web_node_port("web", Family::BOTH.map(|family| family.cluster_ip(1)), 30080);
        let service = service.external_ip("203.0.113.1").load_balancer_ip("2001:db8::2").build();
        let slice4 = slice("web").named_port("tcp", "TCP", 8080).endpoint("10.244.1.1").build();
        let slice6 = slice("web").address_type("IPv6").named_port("udp", "UDP", 8081).endpoint("fd00::1").build();
        let all = [service, slice4, slice6, service_without("none").build()];
        let rows = rows(&all.each_ref());
        let row = |port: &str, kind: &str, at: &str| {
            let protocol = port.to_uppercase();
            rows[&["web", port, &protocol, kind, at].map(str::to_owned)].iter().cloned().collect::<Vec<_>>()
        };
        assert_eq!(rows.len(), 12);
        assert_eq!(row("tcp", "ClusterIP", "10.96.0.1:80"), ["10.244.1.1:8080"]);
        assert_eq!(row("tcp", "NodePort", "*:30080"), ["10.244.1.1:8080"]);
        assert_eq!(row("udp", "NodePort", "[*]:30080"), ["[fd00::1]:8081"]);
        assert!(row("udp", "ExternalIP", "203.0.113.1:80").is_empty());
        assert_eq!(row("udp", "LoadBalancer", "[2001:db8::2]:80"), ["[fd00::1]:8081"]);
    }
}
