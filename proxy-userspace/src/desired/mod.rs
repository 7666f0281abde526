//! The desired data plane as plain values, by Kubernetes names, without map ids and slots. The model makes it, `plan`
//! compares two of them, `apply` writes the difference.

#[cfg(test)]
pub(crate) mod any;
mod backend_list;
pub mod plan;
pub(crate) mod sorted;

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use ipnet::IpNet;
pub use proxy_common::Family;
use proxy_common::{Frontend, FrontendKind, List, Protocol};

pub use self::backend_list::BackendList;
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
    /// Returns the name with these parts.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A service port of one family, within its Service: it gets one service id (S4, S11).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortKey {
    /// The port's name; empty if the port is unnamed.
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

/// The properties that all frontends of a service port share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortEntry {
    /// The timeout of session affinity in seconds; 0 means no affinity (S24).
    pub affinity_timeout: u32,
    /// Whether some backend of any node is usable (S16).
    pub usable: bool,
    /// The lists that frontends use, and no others. An empty list is present. Each is sorted and free of duplicates
    /// (S8).
    pub lists: SortedMap<List, BackendList>,
    /// For each of `lists`, the backends that have left it but still serve: they keep their earlier flows (S29). Sorted
    /// and free of duplicates; none of them is in the list.
    pub draining: SortedMap<List, BackendList>,
    /// The backends in `lists` that are on this node: an endpoint says so (S9), or the address is the node's own.
    /// Sorted and free of duplicates.
    pub local: Box<[SocketAddr]>,
    /// The clients that may use its load-balancer IPs; `None` if it has none, or if all clients may (S21).
    pub sources: Option<Box<SourceRanges>>,
}

/// The clients that may use a service port's load-balancer IPs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceRanges {
    /// Prefixes of the port's family, sorted and free of duplicates. If empty, no client may use them.
    pub nets: Box<[IpNet]>,
    /// Whether processes in this node's own network namespace are among them.
    pub node: bool,
    /// Whether all of this node's pods are among them.
    pub pods: bool,
}

/// One frontend of a service port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontendEntry {
    /// The port whose backends it uses.
    pub port: PortKey,
    /// The kind of the frontend; never [`FrontendKind::Owner`].
    pub kind: FrontendKind,
    /// The list that clients on this node use.
    pub internal: List,
    /// The list that packets from outside use.
    pub external: List,
}

/// The part of the data plane that belongs to one Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceTable {
    /// Its ports.
    pub ports: SortedMap<PortKey, PortEntry>,
    /// Its frontends. Each one's port is in `ports`. No other Service has the same frontend.
    pub frontends: SortedMap<Frontend, FrontendEntry>,
    /// The addresses that it owns, without those that this machine has itself. A ClusterIP has one owner.
    pub owned: SortedMap<IpAddr, Owner>,
}

/// How a Service owns an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// Whether other Services may own the address, too.
    pub kind: OwnerKind,
    /// Whether one of the Service's ports at the address has a usable backend.
    pub usable: bool,
}

/// The kind of an owned address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnerKind {
    /// An externalIP or load-balancer IP: other Services may serve other ports of it.
    External,
    /// A ClusterIP: unserved ports are rejected (S20).
    ClusterIp,
}

/// The kind of the addresses in a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NetworkKind {
    /// ClusterIPs, and addresses that no Service owns and that are unreachable (S20).
    ServiceCidr,
    /// Real addresses inside a ServiceCIDR, or a ClusterIP that is left to this node's listener: packets to them pass.
    Direct,
    /// An address of this node that serves node ports (S19).
    Node,
    /// A loopback address that serves node ports to this node's own namespace (S19).
    Loopback,
}

/// The whole data plane, or the part of it that belongs to some Services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Services by name. No entry is empty.
    pub services: BTreeMap<ServiceName, ServiceTable>,
    /// Prefixes. A ClusterIP outside every ServiceCIDR is here as a host prefix of kind [`NetworkKind::ServiceCidr`].
    pub networks: BTreeMap<IpNet, NetworkKind>,
}

impl Table {
    /// Whether a Service has a port of this protocol.
    pub fn has(&self, protocol: Protocol) -> bool {
        self.services.values().any(|service| service.ports.iter().any(|(port, _)| port.protocol == protocol))
    }
}
