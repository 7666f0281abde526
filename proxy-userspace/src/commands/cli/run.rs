//! `waggle run`: its flags, and the configuration that they make.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    str::FromStr,
};

use clap::Args;
use ipnet::IpNet;

use super::{InstanceArgs, devices::DeviceArgs, flows::FlowArgs, sizes::SizeArgs};
use crate::config::{
    BindAddress, BindAddresses, Config, EVERYWHERE, LogConfig, LogFormat, NodePortAddresses, SourceConfig,
};

/// `waggle run`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Where objects come from
    #[command(flatten)]
    pub source: SourceArgs,
    /// Name of this node as Kubernetes knows it [default: the host name in lower case]
    #[arg(long, env = "NODE_NAME", value_name = "NAME")]
    pub node_name: Option<String>,
    /// cgroup v2 folder whose processes are served [default: the root of the mounted hierarchy]
    #[arg(long, value_name = "PATH")]
    pub cgroup: Option<PathBuf>,
    /// The instance to run
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Where node ports are served: `primary` (the Node object's addresses) or a list of CIDRs. `healthCheckNodePort` is
    /// answered on every address, or on those in the CIDRs
    #[arg(long, value_name = "primary|CIDR,…", default_value = "primary")]
    pub nodeport_addresses: NodePortAddresses,
    /// Where `/healthz` and `/livez` are served, as `IP`, `IP:PORT` or `PORT`; 0 for nowhere [default: every address, port 10256]
    #[arg(long, value_name = "ADDRESS", default_value = "10256", hide_default_value = true)]
    pub healthz_bind_address: BindAddress,
    /// Where `/metrics` is served, as `IP`, `IP:PORT` or `PORT`; 0 for nowhere [default: 127.0.0.1:10249]
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:10249", hide_default_value = true)]
    pub metrics_bind_address: BindAddress,
    /// Destroy connected UDP sockets whose backend is gone, so that the application redials
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub udp_termination: bool,
    /// Devices whose packets are served
    #[command(flatten)]
    pub devices: DeviceArgs,
    /// Flows of packets
    #[command(flatten)]
    pub flows: FlowArgs,
    /// Sizes of the maps
    #[command(flatten)]
    pub sizes: SizeArgs,
    /// Log format
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = "Logging")]
    pub log_format: LogFormat,
    /// Log level, or tracing directives such as `info,proxy_userspace=debug`
    #[arg(long, env = "WAGGLE_LOG", value_name = "LEVEL", default_value = "info", help_heading = "Logging")]
    pub log_level: String,
}

/// kube-proxy's ports and addresses, but its `0.0.0.0` is every address of both families here.
const HEALTH: SocketAddr = SocketAddr::new(EVERYWHERE, 10256);
const METRICS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 10249);

/// API server or folder.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Source")]
pub struct SourceArgs {
    /// Kubeconfig of the API server [default: the pod's service account]
    #[arg(long, value_name = "FILE", conflicts_with = "manifests")]
    pub kubeconfig: Option<PathBuf>,
    /// URL of the API server, instead of the one in the kubeconfig or the pod's environment
    #[arg(long, value_name = "URL", conflicts_with = "manifests")]
    pub api_server: Option<String>,
    /// Folder of YAML and JSON manifests to follow instead of an API server
    #[arg(long, value_name = "DIR")]
    pub manifests: Option<PathBuf>,
    /// With --manifests: ranges that cluster IPs are allocated from
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',', default_value = "10.96.0.0/16", requires = "manifests")]
    pub service_cidr: Vec<IpNet>,
    /// With --manifests: ports that node ports are allocated from
    #[arg(long, value_name = "FIRST-LAST", default_value = "30000-32767", requires = "manifests")]
    pub service_node_port_range: PortRange,
    /// With --manifests: file that remembers allocations over a restart
    /// [default: /var/lib/waggle/INSTANCE.json]
    #[arg(long, value_name = "FILE", requires = "manifests")]
    pub allocations: Option<PathBuf>,
}

/// A range of ports, `FIRST-LAST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortRange(pub RangeInclusive<u16>);

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = |part: &str| part.trim().parse::<u16>().ok().filter(|port| *port != 0);
        let (first, last) = text.split_once('-').ok_or("want FIRST-LAST, for example 30000-32767")?;
        match (parse(first), parse(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self(first..=last)),
            _ => Err("want two ports from 1 to 65535, the smaller one first".into()),
        }
    }
}

impl From<RunArgs> for Config {
    fn from(args: RunArgs) -> Self {
        Self {
            instance: args.instance.instance,
            node_name: args.node_name,
            cgroup: args.cgroup,
            source: args.source.into(),
            nodeport_addresses: args.nodeport_addresses,
            bind_addresses: BindAddresses {
                health: args.healthz_bind_address.or(HEALTH),
                metrics: args.metrics_bind_address.or(METRICS),
            },
            udp_termination: args.udp_termination,
            devices: args.devices.into(),
            flows: args.flows.into(),
            sizes: args.sizes.into(),
            log: LogConfig { format: args.log_format, level: args.log_level },
        }
    }
}

impl From<SourceArgs> for SourceConfig {
    fn from(args: SourceArgs) -> Self {
        match args.manifests {
            Some(folder) => Self::Manifests {
                folder,
                service_cidrs: args.service_cidr,
                node_ports: args.service_node_port_range.0,
                allocations: args.allocations,
            },
            None => Self::Kube { kubeconfig: args.kubeconfig, api_server: args.api_server },
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::{
        commands::cli::{Cli, Command},
        config::{DeviceConfig, FlowConfig, MapSizes},
    };

    fn config(flags: &[&str]) -> Config {
        match Cli::try_parse_from([&["waggle", "run"], flags].concat()).unwrap().command {
            Command::Run(args) => (*args).into(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_flags_every_part_is_its_default() {
        let config = config(&[]);
        assert_eq!(format!("{:?}", config.sizes), format!("{:?}", MapSizes::default()));
        assert_eq!(format!("{:?}", config.flows), format!("{:?}", FlowConfig::DEFAULT));
        assert_eq!(format!("{:?}", config.devices), format!("{:?}", DeviceConfig::default()));
        assert_eq!(config.nodeport_addresses, NodePortAddresses::default());
        assert!(matches!(config.source, SourceConfig::Kube { kubeconfig: None, api_server: None }));
    }

    #[test]
    fn each_flag_reaches_its_value() {
        let config = config(&[
            "--conntrack-udp-timeout=7",
            "--conntrack-sctp-timeout-shutdown-recd=9",
            "--answer-echo=false",
            "--reject-rate=5",
            "--max-slots=11",
            "--device-mode=tc",
            "--manifests=/tmp/objects",
        ]);
        let FlowConfig { timeouts, associations, answer_echo, reject_rate } = config.flows;
        assert_eq!((timeouts.udp, associations.shutdown_received, answer_echo, reject_rate), (7, 9, false, 5));
        assert_eq!((config.sizes.slots, config.devices.mode), (11, crate::config::devices::DeviceMode::Tc));
        assert!(
            matches!(config.source, SourceConfig::Manifests { folder, .. } if folder.as_os_str() == "/tmp/objects")
        );
    }

    #[test]
    fn bad_port_ranges_are_refused() {
        for bad in ["30000", "0-5", "6-5", "a-b", "1-65536"] {
            assert!(bad.parse::<PortRange>().is_err(), "{bad}");
        }
        assert_eq!("30000-32767".parse(), Ok(PortRange(30000..=32767)));
    }
}
