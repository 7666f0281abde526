//! The Services that have an address, and what each serves there. Pure.

use std::collections::{BTreeMap, BTreeSet};

use proxy_common::Address;

use crate::commands::get::{Name, Snapshot, service_port::protocol, services::is_owner};

/// A Service that has an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Namespace and name.
    pub service: String,
    /// The ports that it serves there, as `80/TCP`.
    pub ports: Vec<String>,
}

/// Returns the Services that have an address, by namespace and name.
pub fn holders(snapshot: &Snapshot, address: Address) -> Vec<Holder> {
    let mut found: BTreeMap<String, BTreeSet<(u16, u8)>> = BTreeMap::new();
    let at = snapshot.services.iter().filter(|(frontend, _)| frontend.address == address && !is_owner(frontend));
    for (frontend, service) in at {
        let Name { namespace, service, .. } = Name::of(service.id, &snapshot.names);
        found.entry(format!("{namespace}/{service}")).or_default().insert((frontend.port, frontend.protocol));
    }
    let port = |(port, number): (u16, u8)| format!("{port}/{}", protocol(number));
    found.into_iter().map(|(service, ports)| Holder { service, ports: ports.into_iter().map(port).collect() }).collect()
}
