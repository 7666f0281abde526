//! The flags of `waggle run`, and the configuration that follows from them.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use clap::{
    Args,
    builder::{OsStringValueParser, TypedValueParser},
};
use ipnet::IpNet;

use super::{
    InstanceArgs, KubeProxyArgs, conntrack::FlowArgs, devices::DeviceArgs, metrics::MetricsArgs,
    nodeport_addresses::NodePortArgs, page::PageArgs, sizes::SizeArgs,
};
use crate::config::{
    BindAddress, BindAddresses, Config, EVERYWHERE, ExternalIps, HEALTH_PORT, LogConfig, LogFormat, METRICS_PORT,
    SourceConfig,
    kube_proxy::{KubeProxyConfiguration, KubeProxyFile},
};

/// The flags of `waggle run`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// kube-proxy's configuration file (KubeProxyConfiguration v1alpha1). Flags and environment variables take precedence over it.
    /// Fields that Waggle has no use for are ignored, with one warning. When other fields change, the agent exits, to be restarted
    #[arg(long, value_name = "FILE", value_parser = maybe_empty())]
    pub config: Option<PathBuf>,
    /// Name of this node's Node object [default: the host name in lower case]
    #[arg(long, alias = "hostname-override", env = "NODE_NAME", value_name = "NAME")]
    pub node_name: Option<String>,
    /// cgroup v2 folder whose processes are served [default: the root of the mounted hierarchy]
    #[arg(long, value_name = "PATH")]
    pub cgroup: Option<PathBuf>,
    /// Folder of the node's kernel settings, for containers where /proc/sys is read-only. Waggle writes only `rp_filter` there
    #[arg(long, value_name = "PATH", default_value = "/proc/sys")]
    pub proc_sys: PathBuf,
    /// The instance to run
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Where node ports are served
    #[command(flatten)]
    pub nodeport_addresses: NodePortArgs,
    /// externalIPs that Services may have: CIDRs, or `none`. Without a limit, any user who may write Services can redirect the
    /// traffic to any address to their own pods (CVE-2020-8554) [default: all, as in kube-proxy]
    #[arg(long, value_name = "none|CIDR,…")]
    pub external_ip_cidrs: Option<ExternalIps>,
    /// Where `/healthz` and `/livez` are served, as `IP`, `IP:PORT` or `PORT`; 0 turns them off
    /// [default: every address, port 10256]
    #[arg(long, value_name = "ADDRESS")]
    pub healthz_bind_address: Option<BindAddress>,
    /// Where `/metrics` is served, as `IP`, `IP:PORT` or `PORT`; 0 turns it off [default: 127.0.0.1:10249]
    #[arg(long, value_name = "ADDRESS")]
    pub metrics_bind_address: Option<BindAddress>,
    /// Seconds that the API server may be silent or refuse requests before `/healthz` and `/livez` respond 503; 0 for no limit.
    /// A watch of objects that never change is silent for up to 5 minutes
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub unhealthy_after: u64,
    /// Destroy connected UDP sockets whose backend is gone, so that applications reconnect
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub udp_termination: bool,
    /// Where objects come from
    #[command(flatten)]
    pub source: SourceArgs,
    /// Devices whose packets are served
    #[command(flatten)]
    pub devices: DeviceArgs,
    /// Flows of packets
    #[command(flatten)]
    pub flows: FlowArgs,
    /// Sizes of the maps
    #[command(flatten)]
    pub sizes: SizeArgs,
    /// Metrics
    #[command(flatten)]
    pub metrics: MetricsArgs,
    /// The page
    #[command(flatten)]
    pub page: PageArgs,
    /// Log format [default: text]
    #[arg(long, alias = "logging-format", value_name = "FORMAT", help_heading = "Logging")]
    pub log_format: Option<LogFormat>,
    /// Log level, or tracing directives such as `info,proxy_userspace=debug` [default: info]
    #[arg(long, env = "WAGGLE_LOG", value_name = "LEVEL", help_heading = "Logging")]
    pub log_level: Option<String>,
    /// kube-proxy's flags
    #[command(flatten)]
    pub kube_proxy: KubeProxyArgs,
}

/// kube-proxy's default address. Its `0.0.0.0` means every address of both families, as in Go's `net.Listen`.
const HEALTH: SocketAddr = SocketAddr::new(EVERYWHERE, HEALTH_PORT);

/// The flags for the source of objects: the API server or a folder.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Source")]
pub struct SourceArgs {
    /// Kubeconfig of the API server [default: the pod's service account]
    #[arg(long, value_name = "FILE", conflicts_with = "manifests", value_parser = maybe_empty())]
    pub kubeconfig: Option<PathBuf>,
    /// URL of the API server, instead of the one in the kubeconfig or the pod's environment
    #[arg(long, alias = "master", value_name = "URL", conflicts_with = "manifests")]
    pub api_server: Option<String>,
    /// Folder of YAML and JSON manifests to follow instead of an API server
    #[arg(long, value_name = "DIR")]
    pub manifests: Option<PathBuf>,
    /// With --manifests: ranges that ClusterIPs are allocated from
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',', default_value = "10.96.0.0/16", requires = "manifests")]
    pub service_cidr: Vec<IpNet>,
    /// With --manifests: ports that node ports are allocated from
    #[arg(long, value_name = "FIRST-LAST", default_value = "30000-32767", requires = "manifests")]
    pub service_node_port_range: PortRange,
    /// With --manifests: file that keeps allocations across restarts
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
        let (first, last) = text.split_once('-').ok_or("give FIRST-LAST, for example 30000-32767")?;
        match (parse(first), parse(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self(first..=last)),
            _ => Err("give two ports from 1 to 65535, the smaller one first".into()),
        }
    }
}

/// A path, which may be empty, as for kube-proxy: that counts as not given.
fn maybe_empty() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

fn is_given(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}

impl RunArgs {
    /// Returns kube-proxy's configuration file.
    pub fn config_file(&self) -> Option<&Path> {
        self.config.as_deref().filter(|path| is_given(path))
    }

    /// Returns the configuration: flags and the environment take precedence, then the file, then the defaults.
    pub fn config(self, file: Option<KubeProxyFile>) -> Config {
        let asked = file.as_ref().map(|file| file.configuration.clone()).unwrap_or_default();
        let node_name = self.node_name.clone().filter(|name| !name.trim().is_empty());
        Config {
            file,
            bind_addresses: self.bind_addresses(&asked),
            log: self.log(&asked),
            instance: self.instance.instance,
            node_name: node_name.or(asked.hostname_override),
            cgroup: self.cgroup,
            proc_sys: self.proc_sys,
            source: self.source.config(asked.client_connection.kubeconfig),
            nodeport_addresses: self.nodeport_addresses.0.or(asked.node_port_addresses).unwrap_or_default(),
            external_ips: self.external_ip_cidrs.unwrap_or_default(),
            silence: (self.unhealthy_after != 0).then(|| Duration::from_secs(self.unhealthy_after)),
            udp_termination: self.udp_termination,
            devices: self.devices.into(),
            flows: self.flows.config(&asked.conntrack),
            preallocates: self.sizes.preallocate,
            sizes: self.sizes.into(),
            metrics: self.metrics.into(),
        }
    }

    fn bind_addresses(&self, file: &KubeProxyConfiguration) -> BindAddresses {
        let flags = &self.kube_proxy;
        let loopback: IpAddr = match flags.bind_address.and_then(|given| given.0).or(file.bind_address) {
            Some(IpAddr::V6(_)) => Ipv6Addr::LOCALHOST.into(),
            Some(IpAddr::V4(_)) | None => Ipv4Addr::LOCALHOST.into(),
        };
        let health = (self.healthz_bind_address, flags.healthz_port);
        let metrics = (self.metrics_bind_address, flags.metrics_port);
        BindAddresses {
            health: bind_address(health, file.healthz_bind_address, HEALTH),
            metrics: bind_address(metrics, file.metrics_bind_address, SocketAddr::new(loopback, METRICS_PORT)),
            page: self.page.address(loopback),
            hard_fail: flags.bind_address_hard_fail.unwrap_or(file.bind_address_hard_fail),
        }
    }

    /// Returns what flags and the environment say of the log.
    pub fn log_without_file(&self) -> LogConfig {
        self.log(&KubeProxyConfiguration::default())
    }

    fn log(&self, file: &KubeProxyConfiguration) -> LogConfig {
        let level = match self.kube_proxy.verbosity.or(file.logging.verbosity).unwrap_or_default() {
            0..=3 => "info",
            4 => "debug",
            _ => "trace",
        };
        LogConfig {
            format: self.log_format.or(file.logging.format).unwrap_or(LogFormat::Text),
            level: self.log_level.clone().unwrap_or_else(|| level.to_owned()),
        }
    }
}

/// Returns where a port is served: the flags for address and port take precedence over the file. `None` if it is turned off.
fn bind_address(
    flags: (Option<BindAddress>, Option<u16>),
    file: Option<BindAddress>,
    default: SocketAddr,
) -> Option<SocketAddr> {
    match flags {
        (_, Some(0)) => None,
        (Some(address), port) => address.or(SocketAddr::new(default.ip(), port.unwrap_or(default.port()))),
        (None, Some(port)) => file.unwrap_or_default().with_port(port).or(default),
        (None, None) => file.unwrap_or_default().or(default),
    }
}

impl SourceArgs {
    fn config(self, kubeconfig: Option<PathBuf>) -> SourceConfig {
        match self.manifests {
            Some(folder) => SourceConfig::Manifests {
                folder,
                service_cidrs: self.service_cidr,
                node_ports: self.service_node_port_range.0,
                allocations: self.allocations,
            },
            None => SourceConfig::Kube {
                kubeconfig: self.kubeconfig.filter(|path| is_given(path)).or(kubeconfig),
                api_server: self.api_server.filter(|url| !url.is_empty()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::{
        commands::cli::{Cli, Command},
        config::{DeviceConfig, FlowConfig, MapSizes, NodePortAddresses},
    };

    fn config(flags: &[&str]) -> Config {
        match Cli::try_parse_from([&["waggle", "run"], flags].concat()).unwrap().command {
            Command::Run(args) => args.config(None),
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
            "--external-ip-cidrs=none",
            "--manifests=/tmp/objects",
        ]);
        let FlowConfig { timeouts, associations, answer_echo, reject_rate } = config.flows;
        assert_eq!((timeouts.udp, associations.shutdown_received, answer_echo, reject_rate), (7, 9, false, 5));
        assert_eq!(config.external_ips, ExternalIps::Cidrs(Vec::new()));
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
