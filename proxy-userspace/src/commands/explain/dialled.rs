//! Finds the address, port and protocol that a question means, by the names in the maps. Pure.

use std::net::IpAddr;

use proxy_common::{Address, Frontend, FrontendKind, Protocol, Service};

use super::question::{Destination, Host, Port, QuestionError, ServiceRef};
use crate::{
    commands::get::{Name, Snapshot, services::is_owner},
    maps::encode,
};

/// Returns what a client of this address dials.
pub fn dialled(
    snapshot: &Snapshot,
    client: IpAddr,
    destination: &Destination,
    protocol: Protocol,
) -> Result<Frontend, QuestionError> {
    match &destination.host {
        Host::Address(address) => {
            if address.is_ipv4() != client.is_ipv4() {
                return Err(QuestionError::Families { client, destination: *address });
            }
            let at: Address = (*address).into();
            let ports = frontends(snapshot, protocol, |frontend, _| frontend.address == at);
            let port = choose(snapshot, &ports, destination.port.as_ref(), &address.to_string())?;
            Ok(Frontend::new(at, port, protocol as u8))
        }
        Host::Service(service) => {
            let at = cluster_ip(snapshot, client.is_ipv4(), service)?;
            let ports = frontends(snapshot, protocol, |frontend, found| {
                frontend.address == at && is_of(snapshot, found.id, service)
            });
            let port = choose(snapshot, &ports, destination.port.as_ref(), &service.to_string())?;
            Ok(Frontend::new(at, port, protocol as u8))
        }
    }
}

/// Whether a service id belongs to this Service.
pub fn is_of(snapshot: &Snapshot, id: u32, service: &ServiceRef) -> bool {
    let port = snapshot.names.get(&id).and_then(encode::port_id);
    port.is_some_and(|port| *port.service.namespace == *service.namespace && *port.service.name == *service.name)
}

/// Returns the Service's first ClusterIP of a family.
fn cluster_ip(snapshot: &Snapshot, is_ipv4: bool, service: &ServiceRef) -> Result<Address, QuestionError> {
    if !snapshot.names.keys().any(|id| is_of(snapshot, *id, service)) {
        return Err(QuestionError::UnknownService(service.to_string()));
    }
    let is_wanted = |(frontend, found): &(&Frontend, &Service)| {
        found.kind == FrontendKind::ClusterIp as u8
            && frontend.address.is_ipv4() == is_ipv4
            && is_of(snapshot, found.id, service)
    };
    let found = snapshot.services.iter().find(is_wanted).map(|(frontend, _)| frontend.address);
    let family = if is_ipv4 { "IPv4" } else { "IPv6" };
    found.ok_or_else(|| QuestionError::NoClusterIp { service: service.to_string(), family })
}

/// Returns the ports, with their service ids, of the frontends of a protocol for which `is_meant` returns true.
fn frontends(
    snapshot: &Snapshot,
    protocol: Protocol,
    is_meant: impl Fn(&Frontend, &Service) -> bool,
) -> Vec<(u16, u32)> {
    let of_protocol =
        snapshot.services.iter().filter(|(frontend, _)| !is_owner(frontend) && frontend.protocol == protocol as u8);
    of_protocol
        .filter(|(frontend, service)| is_meant(frontend, service))
        .map(|(f, service)| (f.port, service.id))
        .collect()
}

/// Returns the number of the port that is meant. A number need not be one of `ports`: that it is not served is explained.
fn choose(
    snapshot: &Snapshot,
    ports: &[(u16, u32)],
    port: Option<&Port>,
    destination: &str,
) -> Result<u16, QuestionError> {
    let name = |id: u32| Name::of(id, &snapshot.names).port;
    let found = match port {
        Some(Port::Number(number)) => return Ok(*number),
        Some(Port::Name(wanted)) => ports.iter().find(|(_, id)| name(*id) == *wanted),
        None if ports.len() == 1 => ports.first(),
        None => None,
    };
    let describe = |(number, id): &(u16, u32)| match name(*id) {
        unnamed if unnamed.is_empty() => number.to_string(),
        name => format!("{name} ({number})"),
    };
    found.map(|(number, _)| *number).ok_or_else(|| QuestionError::Port {
        destination: destination.to_owned(),
        port: port.and_then(|port| if let Port::Name(name) = port { Some(name.clone()) } else { None }),
        ports: ports.iter().map(describe).collect(),
    })
}
