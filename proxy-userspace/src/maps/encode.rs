//! Converts between the table's values and the maps' values. Pure.

use std::net::{IpAddr, SocketAddr};

use aya::maps::lpm_trie::Key;
use ipnet::IpNet;
use jiff::Timestamp;
use proxy_common::{
    Address, Backend, FrontendKind, List, Network, Protocol, Service, SlotRange, SourceRange, StoredName,
};

use crate::desired::{Family, FrontendEntry, NetworkKind, Owner, OwnerKind, PortEntry, PortId, PortKey, ServiceName};

/// Returns the value of a frontend in SERVICES. `range` gives the slots of each of the port's lists.
pub fn service(id: u32, port: &PortEntry, frontend: &FrontendEntry, range: impl Fn(List) -> SlotRange) -> Service {
    let flag = |condition, flag| if condition { flag } else { 0 };
    let sources = port.sources.as_ref().filter(|_| frontend.kind == FrontendKind::LoadBalancer);
    Service {
        id,
        kind: frontend.kind as u8,
        flags: flag(port.usable, Service::USABLE)
            | flag(frontend.internal == List::Local, Service::INTERNAL_LOCAL)
            | flag(frontend.external == List::Local, Service::EXTERNAL_LOCAL)
            | flag(sources.is_some(), Service::SOURCE_RANGES)
            | flag(sources.is_some_and(|sources| sources.node), Service::NODE_ALLOWED)
            | flag(sources.is_some_and(|sources| sources.pods), Service::PODS_ALLOWED),
        affinity_timeout: port.affinity_timeout,
        internal: range(frontend.internal),
        external: range(frontend.external),
        ..Service::default()
    }
}

/// Returns the value in SERVICES that marks an address as owned.
pub fn owner(owner: Owner) -> Service {
    let kind = match owner.kind {
        OwnerKind::ClusterIp => FrontendKind::Owner,
        OwnerKind::External => FrontendKind::ExternalOwner,
    };
    let flags = if owner.usable { Service::USABLE } else { 0 };
    Service { kind: kind as u8, flags, ..Service::default() }
}

/// Returns the value of a valid backend in BACKENDS, without other flags.
pub fn backend(address: SocketAddr, generation: u32) -> Backend {
    Backend { address: address.ip().into(), port: address.port(), flags: Backend::VALID, generation }
}

/// Returns the address and port of a value in BACKENDS.
pub fn backend_address(backend: &Backend) -> SocketAddr {
    SocketAddr::new(backend.address.into(), backend.port)
}

/// Returns the key of a prefix in NETWORKS. IPv4 prefixes are IPv4-mapped: 96 bits longer.
pub fn network_key(network: IpNet) -> Key<Address> {
    let offset = if network.addr().is_ipv4() { 96 } else { 0 };
    Key::new(offset + u32::from(network.prefix_len()), network.network().into())
}

/// The bits that the service id adds to the prefix length of a source range.
const SERVICE_BITS: u32 = 32;

/// Returns the key of a service's source range in SOURCE_RANGES.
pub fn source_range_key(service: u32, network: IpNet) -> Key<SourceRange> {
    let key = network_key(network);
    Key::new(SERVICE_BITS + key.prefix_len(), SourceRange::new(service, key.data()))
}

/// Returns the service id and the prefix of a key in SOURCE_RANGES; `None` for a length that no prefix has.
pub fn source_range(key: &Key<SourceRange>) -> Option<(u32, IpNet)> {
    let SourceRange { service, client } = key.data();
    let net = network(&Key::new(key.prefix_len().checked_sub(SERVICE_BITS)?, client))?;
    Some((u32::from_be(service), net))
}

/// Returns the prefix of a key in NETWORKS; `None` for a length that no prefix has.
pub fn network(key: &Key<Address>) -> Option<IpNet> {
    let address = IpAddr::from(key.data());
    let offset = if address.is_ipv4() { 96 } else { 0 };
    let length = u8::try_from(key.prefix_len().checked_sub(offset)?).ok()?;
    IpNet::new(address, length).ok()
}

/// Returns the value of a prefix in NETWORKS.
pub const fn network_value(kind: NetworkKind) -> Network {
    match kind {
        NetworkKind::ServiceCidr => Network::SERVICE_CIDR,
        NetworkKind::Direct => Network::DIRECT,
        NetworkKind::Node => Network::NODE,
        NetworkKind::Loopback => Network::LOOPBACK,
    }
}

/// Returns the value in SERVICE_NAMES of a service port that has never changed.
pub fn name(id: &PortId) -> StoredName {
    StoredName {
        namespace: label(&id.service.namespace),
        name: label(&id.service.name),
        port_name: label(&id.port.name),
        protocol: id.port.protocol as u8,
        family: id.port.family.number(),
        _pad: [0; 6],
        changed: 0,
        digest: 0,
    }
}

/// Returns the service port that a value of SERVICE_NAMES names; `None` if the value is damaged.
pub fn port_id(name: &StoredName) -> Option<PortId> {
    let family = match name.family {
        4 => Family::Ipv4,
        6 => Family::Ipv6,
        _ => return None,
    };
    let protocol = Protocol::from_number(name.protocol.into())?;
    Some(PortId {
        service: ServiceName::new(text(&name.namespace)?, text(&name.name)?),
        port: PortKey { name: text(&name.port_name)?.into(), protocol, family },
    })
}

/// Returns when the backends or source ranges of a service port last changed; `None` if that is not known.
pub fn changed(name: &StoredName) -> Option<Timestamp> {
    let seconds = i64::try_from(name.changed).ok().filter(|seconds| *seconds != 0)?;
    Timestamp::from_second(seconds).ok()
}

/// Returns a name as NUL-terminated bytes. Kubernetes names have at most 63 bytes; a longer one is truncated.
fn label(text: &str) -> [u8; 64] {
    let mut bytes = [0; 64];
    for (target, source) in bytes.iter_mut().zip(text.bytes().take(63)) {
        *target = source;
    }
    bytes
}

fn text(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(&bytes[..end]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::SourceRanges;

    #[test]
    fn names_survive_the_round_trip() {
        let id = PortId {
            service: ServiceName::new("kube-system", "a".repeat(63)),
            port: PortKey { name: "".into(), protocol: Protocol::Udp, family: Family::Ipv6 },
        };
        assert_eq!(port_id(&name(&id)), Some(id));
        assert_eq!(port_id(&StoredName::default()), None);
    }

    #[test]
    fn a_time_of_change_is_known_if_it_is_one() {
        let at = |changed| super::changed(&StoredName { changed, ..StoredName::default() });
        assert_eq!(at(1_796_094_416).map(|at| at.to_string()).as_deref(), Some("2026-12-01T03:06:56Z"));
        assert_eq!((at(0), at(u64::MAX), at(1 << 60)), (None, None, None));
    }

    #[test]
    fn s21_only_load_balancer_ips_ask_for_the_source() {
        let sources = Some(Box::new(SourceRanges { node: true, ..SourceRanges::default() }));
        let port = PortEntry { sources, ..PortEntry::default() };
        let flags = |kind| {
            let key = PortKey { name: "".into(), protocol: Protocol::Tcp, family: Family::Ipv4 };
            let entry = FrontendEntry { port: key, kind, internal: List::Cluster, external: List::Cluster };
            service(1, &port, &entry, |_| SlotRange::default()).flags
        };
        assert_eq!(flags(FrontendKind::LoadBalancer), Service::SOURCE_RANGES | Service::NODE_ALLOWED);
        for kind in [FrontendKind::ClusterIp, FrontendKind::NodePort, FrontendKind::ExternalIp] {
            assert_eq!(flags(kind), 0, "{kind:?}");
        }
        let net = "10.0.0.0/8".parse().unwrap();
        let key = source_range_key(7, net);
        assert_eq!(source_range(&key), Some((7, net)));
        assert_eq!((key.prefix_len(), key.data()), (32 + 96 + 8, SourceRange::new(7, [10, 0, 0, 0].into())));
    }

    #[test]
    fn prefixes_survive_the_round_trip() {
        for text in ["10.96.0.0/16", "10.0.0.1/32", "0.0.0.0/0", "fd00::/112", "::1/128"] {
            let net: IpNet = text.parse().unwrap();
            assert_eq!(network(&network_key(net)), Some(net), "{text}");
        }
    }
}
