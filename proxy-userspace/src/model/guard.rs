//! Keeps externalIPs and load-balancer IPs from capturing important addresses, whoever may write Services (CVE-2020-8554): other
//! Services' ClusterIPs, the API server, and the ports of this node's kubelet and agent. All other ports at the node's own address
//! are served, as by kube-proxy: load balancers that run on nodes have the nodes' addresses.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use proxy_common::{Frontend, FrontendKind, Protocol};

use super::{Model, state::ServiceState};
use crate::desired::ServiceName;

/// Namespace and name of the API server's Service.
const API_SERVER: (&str, &str) = ("default", "kubernetes");

/// Whether the Service is that of the API server.
pub(super) fn is_api_server(name: &ServiceName) -> bool {
    (&*name.namespace, &*name.name) == API_SERVER
}

/// Returns the TCP sockets that the API server's endpoints name.
fn api_endpoints(state: &ServiceState) -> BTreeSet<SocketAddr> {
    let of_slice = |slice: &super::Slice| {
        let ports: Vec<u16> =
            slice.ports.iter().filter(|port| port.protocol == Protocol::Tcp).map(|port| port.port).collect();
        let addresses: Vec<IpAddr> = slice.endpoints.iter().map(|endpoint| endpoint.address).collect();
        addresses
            .into_iter()
            .flat_map(move |address| ports.clone().into_iter().map(move |port| SocketAddr::new(address, port)))
    };
    state.slices().flat_map(|(_, slice)| of_slice(slice)).collect()
}

impl Model {
    /// Returns why a frontend of this kind is not served; `None` if it may be served.
    pub(super) fn guarded(&self, frontend: &Frontend, kind: FrontendKind) -> Option<&'static str> {
        if !matches!(kind, FrontendKind::ExternalIp | FrontendKind::LoadBalancer) {
            return None;
        }
        let address = IpAddr::from(frontend.address);
        if self.claims.is_cluster_ip(address) {
            return Some("is the ClusterIP of another Service");
        }
        if frontend.protocol != Protocol::Tcp as u8 {
            return None;
        }
        let socket = SocketAddr::new(address, frontend.port);
        if self.config.api_server.contains(&socket) || self.api_endpoints.contains(&socket) {
            return Some("is the API server");
        }
        if !self.local.all.contains(&address) {
            return None;
        }
        if self.node.kubelet_port == Some(frontend.port) {
            return Some("is this node's kubelet");
        }
        let is_own =
            |own: &SocketAddr| own.port() == frontend.port && (own.ip().is_unspecified() || own.ip() == address);
        self.config.own_ports.iter().any(is_own).then_some("is a port of this agent")
    }

    /// Reads the API server's endpoints again, after a change of its slices.
    pub(super) fn refresh_api_endpoints(&mut self) {
        let name = ServiceName::new(API_SERVER.0, API_SERVER.1);
        let now = self.services.get(&name).map(api_endpoints).unwrap_or_default();
        let before = std::mem::replace(&mut self.api_endpoints, now);
        let changed: BTreeSet<IpAddr> = before.symmetric_difference(&self.api_endpoints).map(SocketAddr::ip).collect();
        self.touch_external(|address| changed.contains(&address));
    }

    /// Touches the Services that ask for an external address for which `is_concerned` returns true.
    pub(super) fn touch_external(&mut self, is_concerned: impl Fn(IpAddr) -> bool) {
        self.touch_where(|state| {
            state.spec.as_deref().is_some_and(|spec| spec.external_addresses().any(&is_concerned))
        });
    }
}
