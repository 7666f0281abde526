//! The fields of a KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1) that mean something here. `None` is what kube-proxy
//! takes for a default: nothing, null, or an empty value.

use std::{net::IpAddr, path::PathBuf};

use serde::Deserialize;

use super::scalars;
use crate::config::{BindAddress, LogFormat, NodePortAddresses};

/// The paths of the fields, with those that say what the file is.
pub(super) const FIELDS: [&str; 15] = [
    "apiVersion",
    "kind",
    "bindAddress",
    "bindAddressHardFail",
    "clientConnection.kubeconfig",
    "conntrack.tcpCloseWaitTimeout",
    "conntrack.tcpEstablishedTimeout",
    "conntrack.udpStreamTimeout",
    "conntrack.udpTimeout",
    "healthzBindAddress",
    "hostnameOverride",
    "logging.format",
    "logging.verbosity",
    "metricsBindAddress",
    "nodePortAddresses",
];

/// What the file asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "fields with values")]
pub struct KubeProxyConfiguration {
    /// The family of the addresses where metrics are served by default. Nothing is bound to it.
    #[serde(deserialize_with = "scalars::ip")]
    pub bind_address: Option<IpAddr>,
    /// Whether a health or metrics port that can't be bound ends the agent.
    pub bind_address_hard_fail: bool,
    /// How to reach the API server.
    pub client_connection: ClientConnection,
    /// How long flows are remembered.
    pub conntrack: Conntrack,
    /// Where health is served.
    #[serde(deserialize_with = "scalars::address")]
    pub healthz_bind_address: Option<BindAddress>,
    /// The node's name.
    #[serde(deserialize_with = "scalars::text")]
    pub hostname_override: Option<String>,
    /// What is logged.
    pub logging: Logging,
    /// Where metrics are served.
    #[serde(deserialize_with = "scalars::address")]
    pub metrics_bind_address: Option<BindAddress>,
    /// Where node ports are served.
    #[serde(deserialize_with = "scalars::addresses")]
    pub node_port_addresses: Option<NodePortAddresses>,
}

/// `clientConnection`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "fields with values")]
pub struct ClientConnection {
    /// The kubeconfig.
    #[serde(deserialize_with = "scalars::file")]
    pub kubeconfig: Option<PathBuf>,
}

/// `conntrack`, in seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "fields with values")]
pub struct Conntrack {
    /// Of TCP connections that one side has closed.
    #[serde(deserialize_with = "scalars::timeout")]
    pub tcp_close_wait_timeout: Option<u32>,
    /// Of established TCP connections.
    #[serde(deserialize_with = "scalars::timeout")]
    pub tcp_established_timeout: Option<u32>,
    /// Of UDP flows that have gone both ways.
    #[serde(deserialize_with = "scalars::timeout")]
    pub udp_stream_timeout: Option<u32>,
    /// Of other UDP flows.
    #[serde(deserialize_with = "scalars::timeout")]
    pub udp_timeout: Option<u32>,
}

/// `logging`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "fields with values")]
pub struct Logging {
    /// How lines look.
    #[serde(deserialize_with = "scalars::format")]
    pub format: Option<LogFormat>,
    /// klog's `-v`.
    #[serde(deserialize_with = "scalars::number")]
    pub verbosity: Option<u32>,
}
