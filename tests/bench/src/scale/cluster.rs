//! The objects: the measured Service, whose only endpoint moves between two pods, and the others, whose first endpoints change.

use std::net::Ipv4Addr;

use harness::{
    lab::Pod,
    objects::{service, slice},
};
use serde_json::Value;

use super::Size;
use crate::manifests::{OTHER_PORT, cluster_ip, endpoint};

/// The port of the measured Service, and of the pods.
pub const PORT: u16 = 7001;

/// The measured Service's name.
const MEASURED: &str = "measured";

/// The measured Service.
pub fn measured_service() -> Value {
    service(MEASURED).cluster_ip(&cluster_ip(0).to_string()).port(PORT, PORT).build()
}

/// The measured Service's slice, with `pod` as its endpoint.
pub fn measured_slice(pod: &Pod) -> Value {
    slice(MEASURED).port(PORT).pod(pod).build()
}

/// Service `number`, from 1 on.
pub fn other_service(number: u32) -> Value {
    service(&name(number)).cluster_ip(&cluster_ip(number).to_string()).port(OTHER_PORT, OTHER_PORT).build()
}

/// The slice of Service `number` after `changes` changes.
pub fn other_slice(number: u32, size: Size, changes: u32) -> Value {
    let usual = |index| endpoint(number, index, size.endpoints);
    let first = if changes.is_multiple_of(2) { usual(0) } else { replacement(number) };
    let rest = (1..size.endpoints).map(usual);
    let addresses = std::iter::once(first).chain(rest);
    addresses.fold(slice(&name(number)).port(OTHER_PORT), |slice, it| slice.endpoint(&it.to_string())).build()
}

fn name(number: u32) -> String {
    format!("s{number}")
}

/// The address that replaces the first endpoint of Service `number`.
fn replacement(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 64, 0, 0).to_bits() + number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_replaces_the_first_endpoint_alone() {
        let size = Size { services: 5, endpoints: 3 };
        let [zero, one, two] = [0, 1, 2].map(|changes| other_slice(4, size, changes));
        assert_eq!(zero, two);
        assert_eq!(zero["endpoints"].as_array().unwrap()[1..], one["endpoints"].as_array().unwrap()[1..]);
        assert_eq!(zero["endpoints"][0]["addresses"][0], "10.128.0.12");
        assert_eq!(one["endpoints"][0]["addresses"][0], "10.64.0.4");
    }
}
