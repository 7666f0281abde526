//! The service port that a row is about, with which the rows of several tables begin.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use proxy_common::Protocol;
use serde::Serialize;

use super::{Name, Snapshot, services::is_owner};

/// A service port. Rows contain its fields as their own, also in JSON and YAML.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ServicePort {
    /// The namespace; `?` if the maps don't contain it.
    pub namespace: String,
    /// The Service's name; `id=N` if the maps don't contain it, and `?` if no Service is known.
    pub name: String,
    /// The port's name; empty for an unnamed port.
    pub port: String,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
}

impl ServicePort {
    const TITLES: [&str; 4] = ["NAMESPACE", "NAME", "PORT", "PROTOCOL"];

    const FIELDS: [&str; 4] = ["namespace", "name", "port", "protocol"];

    /// Returns a service port by its names and the number of its protocol.
    pub(super) fn new(name: Name, number: u8) -> Self {
        Self { namespace: name.namespace, name: name.service, port: name.port, protocol: protocol(number) }
    }

    /// Returns the titles of the service port's columns, and those of the columns after them.
    pub(super) fn titles(further: &[&'static str]) -> Vec<&'static str> {
        [Self::TITLES.as_slice(), further].concat()
    }

    /// Returns the service port's fields, and those after them.
    pub(super) fn fields(further: &[&'static str]) -> Vec<&'static str> {
        [Self::FIELDS.as_slice(), further].concat()
    }

    /// Returns the service port's cells, and those after them.
    pub(super) fn cells(&self, further: impl IntoIterator<Item = String>) -> Vec<String> {
        let port = if self.port.is_empty() { "-" } else { self.port.as_str() };
        let own = [self.namespace.as_str(), self.name.as_str(), port, self.protocol.as_str()].map(str::to_owned);
        own.into_iter().chain(further).collect()
    }
}

/// Writes `namespace/name:port`.
impl fmt::Display for ServicePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, name, port, .. } = self;
        write!(f, "{namespace}/{name}")?;
        if port.is_empty() { Ok(()) } else { write!(f, ":{port}") }
    }
}

/// Returns the service ports, with their service ids: one for each family.
pub fn service_ports(snapshot: &Snapshot) -> BTreeMap<ServicePort, BTreeSet<u32>> {
    let mut ports: BTreeMap<ServicePort, BTreeSet<u32>> = BTreeMap::new();
    for (frontend, service) in snapshot.services.iter().filter(|(frontend, _)| !is_owner(frontend)) {
        let port = ServicePort::new(Name::of(service.id, &snapshot.names), frontend.protocol);
        ports.entry(port).or_default().insert(service.id);
    }
    ports
}

/// Returns the name of a protocol by its number.
pub(crate) fn protocol(number: u8) -> String {
    Protocol::from_number(number.into()).map_or_else(|| format!("protocol={number}"), |protocol| protocol.to_string())
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::{
        super::{EndpointRow, json, yaml},
        *,
    };

    #[test]
    fn rows_have_its_fields_as_their_own() {
        let service_port = ServicePort {
            namespace: "default".to_owned(),
            name: "web".to_owned(),
            port: "http".to_owned(),
            protocol: "TCP".to_owned(),
        };
        let row = EndpointRow { service_port, ip_family: "IPv4", endpoint: None, local: false, lists: vec!["Cluster"] };
        let expected = "[
  {
    \"namespace\": \"default\",
    \"name\": \"web\",
    \"port\": \"http\",
    \"protocol\": \"TCP\",
    \"ipFamily\": \"IPv4\",
    \"endpoint\": null,
    \"local\": false,
    \"lists\": [
      \"Cluster\"
    ]
  }
]
";
        assert_eq!(json(slice::from_ref(&row)).unwrap(), expected);
        let yaml = yaml(&[row]).unwrap();
        assert!(
            yaml.starts_with("- namespace: default\n  name: web\n  port: http\n  protocol: TCP\n  ipFamily: "),
            "{yaml}"
        );
    }

    #[test]
    fn unknown_protocols_and_unnamed_ports_are_shown() {
        let name = Name { namespace: "?".to_owned(), service: "id=7".to_owned(), port: String::new() };
        let cells = ServicePort::new(name, 99).cells(["further".to_owned()]);
        assert_eq!(cells, ["?", "id=7", "-", "protocol=99", "further"]);
    }
}
