//! Allocates cluster addresses and node ports to the Services of a folder, and keeps track of those that are taken.

use std::{collections::HashSet, net::IpAddr};

use proxy_common::Protocol;

use super::{
    Ranges,
    allocations::{ServiceAllocations, port_key},
    probe,
};
use crate::{
    desired::Family,
    objects::{Service, ServicePort},
    watch::manifests::validate::{Fault, family_name, parse_address},
};

/// The ranges, and the addresses and ports that are allocated.
pub(super) struct Allocator<'a> {
    ranges: &'a Ranges,
    addresses: HashSet<IpAddr>,
    node_ports: HashSet<(String, i32)>,
}

fn protocol(port: &ServicePort) -> String {
    port.protocol.clone().unwrap_or_else(|| Protocol::Tcp.name().to_owned())
}

/// The protocol of health checks, which use HTTP.
const HEALTH_CHECK: &str = Protocol::Tcp.name();

fn has_addresses(service: &Service) -> bool {
    let spec = &service.spec;
    spec.r#type.as_deref() != Some("ExternalName") && spec.cluster_ip.as_deref() != Some("None")
}

fn has_node_ports(service: &Service) -> bool {
    matches!(service.spec.r#type.as_deref(), Some("NodePort" | "LoadBalancer"))
}

fn has_health_check(service: &Service) -> bool {
    service.spec.r#type.as_deref() == Some("LoadBalancer")
        && service.spec.external_traffic_policy.as_deref() == Some("Local")
}

impl<'a> Allocator<'a> {
    pub(super) fn new(ranges: &'a Ranges) -> Self {
        Self { ranges, addresses: HashSet::new(), node_ports: HashSet::new() }
    }

    /// Allocates the addresses and ports that the Service asks for explicitly. If one can't be allocated, allocates none and
    /// returns the faults.
    pub(super) fn allocate_requested(&mut self, service: &Service) -> Result<(), Vec<Fault>> {
        let mut faults = Vec::new();
        let addresses: Vec<IpAddr> = if has_addresses(service) {
            service.spec.cluster_ips.iter().flatten().filter_map(|text| parse_address(text)).collect()
        } else {
            Vec::new()
        };
        let shown = service.spec.cluster_ips.as_deref().unwrap_or_default();
        for address in &addresses {
            if let Some(reason) = self.address_fault(*address) {
                let reason = format!("failed to allocate IP {address}: {reason}");
                faults.push(Fault::invalid("spec.clusterIPs", format_args!("{shown:?}"), reason));
            }
        }
        let ports = requested_ports(service);
        for (field, protocol, port) in &ports {
            if let Some(reason) = self.port_fault(protocol, *port) {
                faults.push(Fault::invalid(field.clone(), port, reason));
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        self.addresses.extend(addresses);
        self.node_ports.extend(ports.into_iter().map(|(_, protocol, port)| (protocol, port)));
        Ok(())
    }

    /// Allocates the addresses and ports that the Service had before, if they are still free.
    pub(super) fn renew(&mut self, service: &mut Service, given: Option<&ServiceAllocations>) {
        let Some(given) = given else { return };
        if has_addresses(service) {
            for family in missing_families(service) {
                let old = given.addresses.iter().copied().find(|address| Family::of(*address) == family);
                if let Some(address) = old.filter(|address| self.address_fault(*address).is_none()) {
                    self.give_address(service, address);
                } else {
                    // The list is in the order of the families, so it can't have a gap.
                    break;
                }
            }
        }
        if has_node_ports(service) {
            for port in service.spec.ports.iter_mut().flatten().filter(|port| port.node_port.is_none()) {
                let old = given.node_ports.get(&port_key(port)).copied();
                port.node_port = old.filter(|old| self.take_port(&protocol(port), *old));
            }
        }
        if has_health_check(service) && service.spec.health_check_node_port.unwrap_or(0) == 0 {
            service.spec.health_check_node_port = given.health_check.filter(|old| self.take_port(HEALTH_CHECK, *old));
        }
    }

    /// Allocates the addresses and ports that the Service still lacks.
    pub(super) fn fill(&mut self, service: &mut Service, key: &str, node_ports: bool) -> Result<(), Fault> {
        if has_addresses(service) {
            for family in missing_families(service) {
                let address = self.free_address(family, key).ok_or_else(|| Fault {
                    field: "spec.clusterIPs".to_owned(),
                    reason: "failed to allocate a serviceIP: range is full".to_owned(),
                })?;
                self.give_address(service, address);
            }
        }
        if has_node_ports(service) && (node_ports || service.spec.r#type.as_deref() == Some("NodePort")) {
            let full = |index: usize| Fault {
                field: format!("spec.ports[{index}].nodePort"),
                reason: "failed to allocate a nodePort: range is full".to_owned(),
            };
            let ports = service.spec.ports.as_deref_mut().unwrap_or_default();
            for index in 0..ports.len() {
                if ports[index].node_port.is_none() {
                    let port = self.free_port(ports, index, key).ok_or_else(|| full(index))?;
                    ports[index].node_port = Some(port);
                }
            }
        }
        if has_health_check(service) && service.spec.health_check_node_port.is_none() {
            let port = self.probe_port(HEALTH_CHECK, &format!("{key}/healthCheckNodePort"));
            service.spec.health_check_node_port = Some(port.ok_or_else(|| Fault {
                field: "spec.healthCheckNodePort".to_owned(),
                reason: "failed to allocate a nodePort: range is full".to_owned(),
            })?);
        }
        Ok(())
    }

    fn address_fault(&self, address: IpAddr) -> Option<String> {
        if self.addresses.contains(&address) {
            return Some("provided IP is already allocated".to_owned());
        }
        let number = probe::number(address);
        let family = Family::of(address);
        let mut networks = self.ranges.cidrs.iter().filter(|cidr| Family::of(cidr.addr()) == family);
        if networks.any(|cidr| probe::usable(cidr).contains(&number)) {
            return None;
        }
        let networks = self.ranges.cidrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        Some(format!(
            "the provided IP ({address}) is not in the valid range. The range of valid IPs is {networks}; --service-cidr sets it"
        ))
    }

    fn port_fault(&self, protocol: &str, port: i32) -> Option<String> {
        let range = &self.ranges.node_ports;
        if !u16::try_from(port).is_ok_and(|port| range.contains(&port)) {
            let (first, last) = (range.start(), range.end());
            return Some(format!(
                "provided port is not in the valid range. The range of valid ports is {first}-{last}"
            ));
        }
        let taken = self.node_ports.contains(&(protocol.to_owned(), port));
        taken.then(|| "provided port is already allocated".to_owned())
    }

    fn take_port(&mut self, protocol: &str, port: i32) -> bool {
        self.port_fault(protocol, port).is_none() && self.node_ports.insert((protocol.to_owned(), port))
    }

    fn give_address(&mut self, service: &mut Service, address: IpAddr) {
        self.addresses.insert(address);
        let all = service.spec.cluster_ips.get_or_insert_default();
        all.push(address.to_string());
        service.spec.cluster_ip = all.first().cloned();
    }

    fn free_address(&self, family: Family, key: &str) -> Option<IpAddr> {
        let name = format!("{key}/{}", family_name(family));
        let mut networks = self.ranges.cidrs.iter().filter(|cidr| Family::of(cidr.addr()) == family);
        networks.find_map(|cidr| probe::address(cidr, &name, |address| !self.addresses.contains(&address)))
    }

    /// Takes a free node port. Uses the number that the port has for another protocol if possible.
    fn free_port(&mut self, ports: &[ServicePort], index: usize, key: &str) -> Option<i32> {
        let port = &ports[index];
        let protocol = protocol(port);
        let mut siblings = ports.iter().filter(|other| other.port == port.port).filter_map(|other| other.node_port);
        siblings
            .find(|number| self.take_port(&protocol, *number))
            .or_else(|| self.probe_port(&protocol, &format!("{key}/{}", port_key(port))))
    }

    fn probe_port(&mut self, protocol: &str, name: &str) -> Option<i32> {
        let free = |port: u16| !self.node_ports.contains(&(protocol.to_owned(), port.into()));
        let port = probe::node_port(&self.ranges.node_ports, name, free)?.into();
        self.node_ports.insert((protocol.to_owned(), port));
        Some(port)
    }
}

fn requested_ports(service: &Service) -> Vec<(String, String, i32)> {
    let ports = service.spec.ports.iter().flatten().enumerate();
    let ports = ports
        .filter_map(|(index, port)| Some((format!("spec.ports[{index}].nodePort"), protocol(port), port.node_port?)));
    // As in the API server, 0 asks for any port.
    let check = service.spec.health_check_node_port.filter(|port| *port != 0);
    let check = check.map(|port| ("spec.healthCheckNodePort".to_owned(), HEALTH_CHECK.to_owned(), port));
    ports.chain(check).collect()
}

fn missing_families(service: &Service) -> Vec<Family> {
    let have = service.spec.cluster_ips.as_ref().map_or(0, Vec::len);
    let families = service.spec.ip_families.iter().flatten().skip(have);
    families.map(|family| if family == "IPv6" { Family::Ipv6 } else { Family::Ipv4 }).collect()
}
