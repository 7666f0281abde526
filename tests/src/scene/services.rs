//! The Services and slices that scenarios begin with, and their addresses.

use std::net::{IpAddr, SocketAddr};

use super::Family;
use crate::{
    lab::Pod,
    objects::{ServiceBuilder, SliceBuilder, service, slice},
};

/// The ServiceCIDRs of every scene.
pub const SERVICE_CIDRS: [&str; 2] = ["10.96.0.0/16", "fd00:96::/112"];

/// The ports where backends listen unless the setup names others, TCP and UDP.
pub const PORTS: [u16; 3] = [8080, 8081, 8082];

/// A port for clients that bind themselves, outside of `ip_local_port_range`. The kernel may have given a port in that
/// range to an earlier connection, and refuses it while that is in TIME_WAIT, with or without `SO_REUSEADDR`.
pub const BOUND_PORT: u16 = 20_001;

/// A Service with one cluster address per family given, TCP port `tcp` and UDP port `udp`, both 80 to 8080.
pub fn web(name: &str, cluster_ips: impl IntoIterator<Item = IpAddr>) -> ServiceBuilder {
    let plain = service(name).named_port("tcp", "TCP", 80, PORTS[0]).named_port("udp", "UDP", 80, PORTS[0]);
    cluster_ips.into_iter().fold(plain, |service, address| service.cluster_ip(&address.to_string()))
}

/// A Service as [`web`] makes it, with node port `number` for both protocols.
pub fn web_node_port(name: &str, cluster_ips: impl IntoIterator<Item = IpAddr>, number: u16) -> ServiceBuilder {
    let mut built = web(name, cluster_ips).kind("NodePort").build();
    for port in built["spec"]["ports"].as_array_mut().into_iter().flatten() {
        port["nodePort"] = number.into();
    }
    ServiceBuilder::from(built)
}

/// A slice of one family for a Service that [`web`] makes, without endpoints.
pub fn web_slice(service: &str, family: Family) -> SliceBuilder {
    let kind = format!("IPv{}", family.number());
    slice(service).address_type(&kind).named_port("tcp", "TCP", PORTS[0]).named_port("udp", "UDP", PORTS[0])
}

/// A dual-stack Service with the ClusterIPs of [`cluster_ips`], without ports.
pub fn dual(name: &str, number: u8) -> ServiceBuilder {
    let addresses = Family::BOTH.map(|family| family.cluster_ip(number).to_string());
    addresses.iter().fold(service(name), |service, address| service.cluster_ip(address))
}

/// Both ClusterIPs of the Service with this number, with a port.
pub fn cluster_ips(number: u8, port: u16) -> [SocketAddr; 2] {
    Family::BOTH.map(|family| SocketAddr::new(family.cluster_ip(number), port))
}

/// The slices of both families, each with all pods.
pub fn slices(name: &str, port: impl Fn(SliceBuilder) -> SliceBuilder, pods: &[&Pod]) -> [SliceBuilder; 2] {
    let [v4, v6] = [slice(name), slice(name).name(&format!("{name}-6")).address_type("IPv6")].map(port);
    [v4, v6].map(|slice| pods.iter().fold(slice, |slice, pod| slice.pod(pod)))
}
