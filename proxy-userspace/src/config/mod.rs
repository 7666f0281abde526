//! The agent's configuration, which flags and the environment (`commands/cli`) and kube-proxy's configuration file are read into.
//! Nothing here knows the command line.

mod bind_addresses;
pub mod conntrack;
pub mod devices;
pub(crate) mod duration;
mod external_ips;
pub mod kube_proxy;
mod metrics;
mod nodeport_addresses;
pub(crate) mod published;
mod quantity;
mod sizes;

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use ipnet::IpNet;

use self::conntrack::Constant;
pub use self::{
    bind_addresses::{BindAddress, BindAddresses, EVERYWHERE, HEALTH_PORT, METRICS_PORT, PAGE_PORT},
    conntrack::FlowConfig,
    devices::DeviceConfig,
    external_ips::{ExternalIps, ExternalIpsError},
    kube_proxy::KubeProxyFile,
    metrics::MetricsConfig,
    nodeport_addresses::{NodePortAddresses, NodePortAddressesError},
    quantity::Quantity,
    sizes::MapSizes,
};

/// The whole configuration of an agent.
#[derive(Clone, Debug)]
pub struct Config {
    /// kube-proxy's configuration file, if one was given. The other fields already hold its values.
    pub file: Option<KubeProxyFile>,
    /// The name of the folder in the BPF file system, so that several agents can share a machine.
    pub instance: String,
    /// The name of this node's Node object; by default the host's name in lower case.
    pub node_name: Option<String>,
    /// The cgroup whose processes are served; by default the root of the mounted hierarchy.
    pub cgroup: Option<PathBuf>,
    /// Where Services, EndpointSlices and the Node come from.
    pub source: SourceConfig,
    /// Where node ports are served.
    pub nodeport_addresses: NodePortAddresses,
    /// Which externalIPs a Service may have.
    pub external_ips: ExternalIps,
    /// Where the agent's health and metrics are served.
    pub bind_addresses: BindAddresses,
    /// How long the API server may be silent before the agent counts as unhealthy; `None` is for ever.
    pub silence: Option<Duration>,
    /// Whether connected UDP sockets are destroyed when their backend is gone.
    pub udp_termination: bool,
    /// Which devices are served, and how.
    pub devices: DeviceConfig,
    /// Where the node's `/proc/sys` is mounted.
    pub proc_sys: PathBuf,
    /// How flows are treated.
    pub flows: FlowConfig,
    /// The most entries that maps may have.
    pub sizes: MapSizes,
    /// Whether maps have their largest size from the start.
    pub preallocates: bool,
    /// How many objects have metric series of their own.
    pub metrics: MetricsConfig,
    /// What is logged, and how.
    pub log: LogConfig,
}

/// The source of objects.
#[derive(Clone, Debug)]
pub enum SourceConfig {
    /// An API server.
    Kube {
        /// The kubeconfig; without one, the pod's service account is used.
        kubeconfig: Option<PathBuf>,
        /// A URL that replaces that of the kubeconfig or the pod's environment.
        api_server: Option<String>,
    },
    /// A folder of manifests.
    Manifests {
        /// The path of the folder.
        folder: PathBuf,
        /// Ranges that ClusterIPs are allocated from.
        service_cidrs: Vec<IpNet>,
        /// Ports that node ports are allocated from.
        node_ports: RangeInclusive<u16>,
        /// The file that remembers allocations; by default `/var/lib/waggle/INSTANCE.json`.
        allocations: Option<PathBuf>,
    },
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// The format of log lines.
    pub format: LogFormat,
    /// A level, or tracing directives such as `info,proxy_userspace=debug`.
    pub level: String,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// The part of the configuration that the loader needs.
#[derive(Clone, Debug)]
pub struct DataplaneConfig {
    /// The name of the folder in the BPF file system.
    pub instance: String,
    /// The cgroup whose processes are served.
    pub cgroup: PathBuf,
    /// Sizes of the maps.
    pub sizes: MapSizes,
    /// Load-time constants of the packet programs.
    pub constants: Vec<Constant>,
    /// aya-log's level for the programs; 0 logs nothing.
    pub log_level: u8,
}
