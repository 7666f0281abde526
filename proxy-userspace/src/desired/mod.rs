//! The wanted data plane as plain values, by Kubernetes names: no map ids, no slots. The model makes it,
//! `plan` compares two of them, `apply` writes the difference.

#[cfg(test)]
pub(crate) mod any;
pub mod plan;
pub(crate) mod sorted;

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use ipnet::IpNet;
use proxy_common::{Frontend, FrontendKind, List, Protocol};

use crate::desired::sorted::SortedMap;

/// Namespace and name of a Service. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

impl ServiceName {
    /// From its parts.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// IP family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the variants say it")]
pub enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }

    /// 4 or 6.
    pub const fn number(self) -> u8 {
        match self {
            Self::Ipv4 => 4,
            Self::Ipv6 => 6,
        }
    }
}

/// A service port of one family, within its Service: what one service id stands for (S4, S11).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortKey {
    /// Port name; empty for an unnamed port.
    pub name: Arc<str>,
    /// Protocol.
    pub protocol: Protocol,
    /// Family.
    pub family: Family,
}

/// A service port of one family, in the whole cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortId {
    /// The Service.
    pub service: ServiceName,
    /// The port.
    pub port: PortKey,
}

/// What a service port's frontends share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortEntry {
    /// Session affinity timeout in seconds; 0 is no affinity (S24).
    pub affinity_timeout: u32,
    /// Some backend is usable somewhere (S16).
    pub usable: bool,
    /// The lists that some frontend uses, and only those; an empty list is present and empty.
    /// Each is sorted and free of duplicates (S8).
    pub lists: BTreeMap<List, Vec<SocketAddr>>,
    /// For each of `lists`, the backends that have left it but serve until they end: flows of before stay with them (S29).
    /// Sorted and free of duplicates; none is in the list itself.
    pub draining: BTreeMap<List, Vec<SocketAddr>>,
    /// Those in `lists` that are on this node: an endpoint says so (S9), or the address is the node's own.
    /// Sorted and free of duplicates.
    pub local: Box<[SocketAddr]>,
    /// Who may use its load-balancer IPs, if it has any and they are not for everybody (S21).
    pub sources: Option<Box<SourceRanges>>,
}

/// Which clients a service port's load-balancer IPs are for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceRanges {
    /// Prefixes of the port's family, sorted and free of duplicates. None: for nobody.
    pub nets: Box<[IpNet]>,
    /// Processes in this node's own network namespace are among them.
    pub node: bool,
    /// All of this node's pods are.
    pub pods: bool,
}

/// One frontend of a service port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontendEntry {
    /// The port whose backends answer.
    pub port: PortKey,
    /// Which rule made the frontend; never [`FrontendKind::Owner`].
    pub kind: FrontendKind,
    /// The list that clients on this node get.
    pub internal: List,
    /// The list that packets from outside get.
    pub external: List,
}

/// Everything that one Service puts into the data plane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceTable {
    /// Its ports.
    pub ports: SortedMap<PortKey, PortEntry>,
    /// Its frontends. Every entry's port is in `ports`. No other Service has the same frontend.
    pub frontends: SortedMap<Frontend, FrontendEntry>,
    /// The addresses it has, but for those that this machine has itself. A ClusterIP has no second owner.
    pub owned: SortedMap<IpAddr, Owner>,
}

/// How a Service has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// Whether the address is its alone.
    pub kind: OwnerKind,
    /// One of its ports there has a usable backend.
    pub usable: bool,
}

/// What an address is to its Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnerKind {
    /// One of its externalIPs or load-balancer IPs: other Services may serve other ports of it.
    External,
    /// Its ClusterIP: unserved ports are refused (S20).
    ClusterIp,
}

/// What a prefix means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NetworkKind {
    /// Addresses in it are Services or nothing (S20).
    ServiceCidr,
    /// Real addresses inside a ServiceCIDR, or a ClusterIP that this node answers for itself: no business of ours.
    Direct,
    /// An address of this node that serves node ports (S19).
    Node,
    /// A loopback address that serves node ports to this node's own namespace (S19).
    Loopback,
}

/// The whole data plane, or the part of it that belongs to some Services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// By Service. No entry is empty.
    pub services: BTreeMap<ServiceName, ServiceTable>,
    /// Prefixes. An owned address outside every ServiceCIDR is here as a host prefix of kind
    /// [`NetworkKind::ServiceCidr`].
    pub networks: BTreeMap<IpNet, NetworkKind>,
}

impl Table {
    /// Whether a Service has a port of this protocol.
    pub fn has(&self, protocol: Protocol) -> bool {
        self.services.values().any(|service| service.ports.iter().any(|(port, _)| port.protocol == protocol))
    }
}
