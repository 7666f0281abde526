//! The fields of a KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1) that Waggle uses. A field is `None` where kube-proxy
//! would use its default: if it is missing, null or empty.

use std::{net::IpAddr, path::PathBuf};

use serde::Deserialize;

use super::scalars;
use crate::config::{BindAddress, LogFormat, NodePortAddresses};

/// The paths of the fields that are used, `apiVersion` and `kind` included.
pub(crate) const FIELDS: [&str; 15] = [
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

/// The settings in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "fields with values")]
pub struct KubeProxyConfiguration {
    /// The family of the addresses where metrics are served by default. Nothing is bound to it.
    #[serde(deserialize_with = "scalars::ip")]
    pub bind_address: Option<IpAddr>,
    /// Whether a health or metrics port that can't be bound ends the agent.
    pub bind_address_hard_fail: bool,
    /// How the API server is reached.
    pub client_connection: ClientConnection,
    /// How long flows are tracked.
    pub conntrack: Conntrack,
    /// Where health is served.
    #[serde(deserialize_with = "scalars::address")]
    pub healthz_bind_address: Option<BindAddress>,
    /// The node's name.
    #[serde(deserialize_with = "scalars::text")]
    pub hostname_override: Option<String>,
    /// What is logged, and how.
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
    /// The path of the kubeconfig.
    #[serde(deserialize_with = "scalars::file")]
    pub kubeconfig: Option<PathBuf>,
}

/// `conntrack`: timeouts in seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "fields with values")]
pub struct Conntrack {
    /// The timeout of TCP connections that one side has closed.
    #[serde(deserialize_with = "scalars::timeout")]
    pub tcp_close_wait_timeout: Option<u32>,
    /// The timeout of established TCP connections.
    #[serde(deserialize_with = "scalars::timeout")]
    pub tcp_established_timeout: Option<u32>,
    /// The timeout of assured UDP flows.
    #[serde(deserialize_with = "scalars::timeout")]
    pub udp_stream_timeout: Option<u32>,
    /// The timeout of other UDP flows.
    #[serde(deserialize_with = "scalars::timeout")]
    pub udp_timeout: Option<u32>,
}

/// `logging`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "fields with values")]
pub struct Logging {
    /// The format of log lines.
    #[serde(deserialize_with = "scalars::format")]
    pub format: Option<LogFormat>,
    /// The verbosity, as in klog's `-v`.
    #[serde(deserialize_with = "scalars::number")]
    pub verbosity: Option<u32>,
}
