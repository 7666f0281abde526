//! What an agent is told, whoever tells it: flags and the environment (`commands/cli`), or kube-proxy's configuration file. These
//! values know no command line.

mod bind_addresses;
pub mod devices;
pub(crate) mod duration;
mod external_ips;
pub mod flows;
pub mod kube_proxy;
mod metrics;
mod nodeport_addresses;
pub(crate) mod published;
mod quantity;
mod sizes;

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use ipnet::IpNet;

use self::flows::Constant;
pub use self::{
    bind_addresses::{BindAddress, BindAddresses, EVERYWHERE},
    devices::DeviceConfig,
    external_ips::{ExternalIps, ExternalIpsError},
    flows::FlowConfig,
    kube_proxy::KubeProxyFile,
    metrics::MetricsConfig,
    nodeport_addresses::{NodePortAddresses, NodePortAddressesError},
    quantity::Quantity,
    sizes::MapSizes,
};

/// Everything that an agent can be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// kube-proxy's configuration file, of which these values have what means something.
    pub file: Option<KubeProxyFile>,
    /// Names the bpffs folder, so that several agents can share a machine.
    pub instance: String,
    /// The node as Kubernetes knows it; the host's name in lower case if none is given.
    pub node_name: Option<String>,
    /// The cgroup whose processes are served; the root of the mounted hierarchy if none is given.
    pub cgroup: Option<PathBuf>,
    /// Where objects come from.
    pub source: SourceConfig,
    /// Where node ports are served.
    pub nodeport_addresses: NodePortAddresses,
    /// Which externalIPs a Service may have.
    pub external_ips: ExternalIps,
    /// Where health and metrics are served.
    pub bind_addresses: BindAddresses,
    /// For how long the API server may be silent until the agent counts as unhealthy; for ever if it is none.
    pub silence: Option<Duration>,
    /// Whether connected UDP sockets are destroyed when their backend is gone.
    pub udp_termination: bool,
    /// Which devices are served.
    pub devices: DeviceConfig,
    /// The node's /proc/sys.
    pub proc_sys: PathBuf,
    /// How flows of packets are treated.
    pub flows: FlowConfig,
    /// The most entries that maps may have.
    pub sizes: MapSizes,
    /// Whether they have them from the start.
    pub preallocates: bool,
    /// How much is counted one by one.
    pub metrics: MetricsConfig,
    /// What is logged.
    pub log: LogConfig,
}

/// API server or folder.
#[derive(Clone, Debug)]
pub enum SourceConfig {
    /// An API server.
    Kube {
        /// How to reach it; as the pod's service account if none is given.
        kubeconfig: Option<PathBuf>,
        /// Its URL, instead of the one that is known otherwise.
        api_server: Option<String>,
    },
    /// A folder of manifests.
    Manifests {
        /// The folder.
        folder: PathBuf,
        /// Ranges that cluster IPs are allocated from.
        service_cidrs: Vec<IpNet>,
        /// Ports that node ports are allocated from.
        node_ports: RangeInclusive<u16>,
        /// The file that remembers allocations; /var/lib/waggle/INSTANCE.json if none is given.
        allocations: Option<PathBuf>,
    },
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// How lines look.
    pub format: LogFormat,
    /// A level, or tracing directives such as `info,proxy_userspace=debug`.
    pub level: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// What the loader needs to know.
#[derive(Clone, Debug)]
pub struct DataplaneConfig {
    /// Names the bpffs folder.
    pub instance: String,
    /// The cgroup whose processes are served.
    pub cgroup: PathBuf,
    /// Sizes of the maps.
    pub sizes: MapSizes,
    /// Constants of the packet programs.
    pub constants: Vec<Constant>,
    /// What the programs log: aya-log's level, 0 for nothing.
    pub log_level: u8,
}
