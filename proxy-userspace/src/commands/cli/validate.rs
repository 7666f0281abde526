//! The arguments of `waggle validate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ipnet::IpNet;

use super::run::PortRange;
use crate::config::ExternalIps;

pub(super) const EXAMPLES: &str = "\
Examples:
  waggle validate /etc/waggle/manifests
  waggle validate web.yaml dns.yaml -o json
  kubectl get services,endpointslices -A -o yaml | waggle validate -";

/// `waggle validate`.
#[derive(Args, Clone, Debug)]
pub struct ValidateArgs {
    /// Folders, which are read with their subfolders, and files; `-` is standard input. Together they count as one folder
    #[arg(required = true, value_name = "DIR|FILE")]
    pub paths: Vec<PathBuf>,
    /// Name of the node that would serve them [default: the host name in lower case]
    #[arg(long, env = "NODE_NAME", value_name = "NAME")]
    pub node_name: Option<String>,
    /// Ranges that ClusterIPs are allocated from
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',', default_value = "10.96.0.0/16")]
    pub service_cidr: Vec<IpNet>,
    /// Ports that node ports are allocated from
    #[arg(long, value_name = "FIRST-LAST", default_value = "30000-32767")]
    pub service_node_port_range: PortRange,
    /// externalIPs that Services may have: CIDRs, or `none` [default: all, as in kube-proxy]
    #[arg(long, value_name = "none|CIDR,…")]
    pub external_ip_cidrs: Option<ExternalIps>,
    /// Output format
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}

/// The output formats of `waggle validate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A line for each finding, and a summary
    Text,
    /// One JSON object
    Json,
}
