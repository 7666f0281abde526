//! Parses the client and the destination of a question. Pure.

use std::net::IpAddr;

/// Why there is no explanation.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// The client is no address.
    #[error("read client {0:?}: it is no IP address; give ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT")]
    Client(String),
    /// The destination has no known form.
    #[error("read destination {0:?}: give ADDRESS[:PORT], svc/NAME[:PORT] or NAMESPACE/NAME[:PORT]")]
    Destination(String),
    /// The Service has no known form.
    #[error("read Service {0:?}: give svc/NAME or NAMESPACE/NAME")]
    Service(String),
    /// The client and the destination are of two families.
    #[error("explain {client} to {destination}: one is IPv4, the other IPv6, and nothing translates between them")]
    Families {
        /// The client.
        client: IpAddr,
        /// The destination.
        destination: IpAddr,
    },
    /// Nothing of the Service is in the maps.
    #[error(
        "find Service {0}: nothing of it is in the maps; `waggle get services` lists what is in force. A Service that exists is \
         left out if it is headless, of type ExternalName or labelled for another proxy, or if others have all its addresses: \
         the agent's log says so, and `kubectl describe service` shows Events"
    )]
    UnknownService(String),
    /// The Service has no ClusterIP of the client's family.
    #[error("find a ClusterIP of Service {service}: it has none over {family}, which the client speaks")]
    NoClusterIp {
        /// Namespace and name.
        service: String,
        /// The client's family.
        family: &'static str,
    },
    /// The port is missing or has an unknown name.
    #[error("find the port of {destination}: {}; it has {}", wanted(.port.as_deref()), listed(.ports))]
    Port {
        /// The destination without its port.
        destination: String,
        /// The name of the port, if there is one.
        port: Option<String>,
        /// The ports that can be named.
        ports: Vec<String>,
    },
    /// The reason is unknown.
    #[error("explain reason {reason:?}: there is none of this name; the reasons are {}", .reasons.join(", "))]
    Reason {
        /// The unknown name.
        reason: String,
        /// All names.
        reasons: Vec<&'static str>,
    },
    /// The device does not exist.
    #[error("find device {0:?}: it is not in this network namespace; run waggle in the node's")]
    Device(String),
}

fn wanted(port: Option<&str>) -> String {
    port.map_or_else(|| "none is given".to_owned(), |port| format!("{port:?} is not one"))
}

fn listed(ports: &[String]) -> String {
    if ports.is_empty() { "none with this protocol".to_owned() } else { ports.join(", ") }
}

/// A client as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its address; IPv4 is never mapped.
    pub address: IpAddr,
    /// Its port, if one is given.
    pub port: Option<u16>,
}

/// A destination as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// What has the port.
    pub host: Host,
    /// The port, if one is given.
    pub port: Option<Port>,
}

/// A destination without its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// An address; IPv4 is never mapped.
    Address(IpAddr),
    /// A Service, dialled at its ClusterIP.
    Service(ServiceRef),
}

/// A Service by its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A port of a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// By its number.
    Number(u16),
    /// By its name in the Service.
    Name(String),
}

impl std::fmt::Display for ServiceRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Parses a client.
pub fn parse_client(text: &str) -> Result<Caller, QuestionError> {
    let read = || {
        let (host, port) = split(text)?;
        let port = port.map(str::parse).transpose().ok()?;
        Some(Caller { address: parse_address(host)?, port })
    };
    read().ok_or_else(|| QuestionError::Client(text.to_owned()))
}

/// Parses a destination. `namespace` is that of `svc/NAME`.
pub fn parse_destination(text: &str, namespace: &str) -> Result<Destination, QuestionError> {
    let read = || {
        let (host, port) = split(text)?;
        let port = port.map(parse_port);
        if let Some(address) = parse_address(host) {
            return Some(Destination { host: Host::Address(address), port });
        }
        let service = parse_service(host, namespace).ok()?;
        Some(Destination { host: Host::Service(service), port })
    };
    read().ok_or_else(|| QuestionError::Destination(text.to_owned()))
}

/// Parses the names of a Service. `namespace` is that of `svc/NAME`.
pub fn parse_service(text: &str, namespace: &str) -> Result<ServiceRef, QuestionError> {
    match text.split_once('/') {
        Some((first, name)) if !first.is_empty() && !name.is_empty() && !name.contains(['/', ':']) => {
            let is_kind = ["svc", "service", "services"].contains(&first);
            let namespace = if is_kind { namespace } else { first };
            Ok(ServiceRef { namespace: namespace.to_owned(), name: name.to_owned() })
        }
        _ => Err(QuestionError::Service(text.to_owned())),
    }
}

fn parse_address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

fn parse_port(text: &str) -> Port {
    text.parse().map_or_else(|_| Port::Name(text.to_owned()), Port::Number)
}

/// Separates a host from its port. An IPv6 address with a port is in brackets.
fn split(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return if rest.is_empty() { Some((host, None)) } else { Some((host, Some(rest.strip_prefix(':')?))) };
    }
    match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => Some((text, None)),
        Some((_, "")) => None,
        Some((host, port)) => Some((host, Some(port))),
        None => Some((text, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_addresses_with_or_without_a_port() {
        for (text, address, port) in [
            ("192.0.2.9", "192.0.2.9", None),
            ("192.0.2.9:40001", "192.0.2.9", Some(40001)),
            ("fd00::9", "fd00::9", None),
            ("[fd00::9]", "fd00::9", None),
            ("[fd00::9]:40001", "fd00::9", Some(40001)),
            ("::ffff:192.0.2.9", "192.0.2.9", None),
        ] {
            assert_eq!(parse_client(text), Ok(Caller { address: address.parse().unwrap(), port }), "{text}");
        }
        for text in ["", "web", "192.0.2.9:", "192.0.2.9:http", "192.0.2.9:70000", "[fd00::9", "[fd00::9]80", "192.0.2"]
        {
            assert_eq!(parse_client(text), Err(QuestionError::Client(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn destinations_are_addresses_and_services() {
        let service = |namespace: &str, name: &str| {
            Host::Service(ServiceRef { namespace: namespace.to_owned(), name: name.to_owned() })
        };
        let address = |text: &str| Host::Address(text.parse().unwrap());
        let named = |name: &str| Some(Port::Name(name.to_owned()));
        for (text, host, port) in [
            ("10.96.0.10:80", address("10.96.0.10"), Some(Port::Number(80))),
            ("10.96.0.10", address("10.96.0.10"), None),
            ("[fd00::1]:http", address("fd00::1"), named("http")),
            ("svc/web", service("shop", "web"), None),
            ("svc/web:80", service("shop", "web"), Some(Port::Number(80))),
            ("kube-system/dns:dns-tcp", service("kube-system", "dns"), named("dns-tcp")),
        ] {
            assert_eq!(parse_destination(text, "shop"), Ok(Destination { host, port }), "{text}");
        }
        for text in ["", "web", "svc/", "/web", "a/b/c", "svc/web:"] {
            assert_eq!(parse_destination(text, "shop"), Err(QuestionError::Destination(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn errors_say_what_to_give() {
        let error = QuestionError::Port { destination: "default/web".to_owned(), port: None, ports: vec![] };
        assert_eq!(error.to_string(), "find the port of default/web: none is given; it has none with this protocol");
        let ports = vec!["http (80)".to_owned(), "metrics (9090)".to_owned()];
        let error = QuestionError::Port { destination: "default/web".to_owned(), port: Some("x".to_owned()), ports };
        let text = "find the port of default/web: \"x\" is not one; it has http (80), metrics (9090)";
        assert_eq!(error.to_string(), text);
    }
}
