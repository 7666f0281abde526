//! The arguments of `waggle explain`.

use clap::{Args, ValueEnum};
use proxy_common::Protocol;

use super::InstanceArgs;

/// The examples below the help.
pub(super) const AFTER_HELP: &str = "\
Examples:
  waggle explain 10.244.1.7 svc/web:http
  waggle explain 192.0.2.9:40001 192.168.50.1:30080
  waggle explain 10.244.1.7 kube-system/kube-dns:dns --protocol udp -o json
  waggle explain --object svc/web -n shop
  waggle explain --drop no_local_backend

Run it in the node's network namespace, as the agent runs: it asks the kernel for addresses and routes. \
Exit code: 0 if there is an explanation, also if the connection would be refused, 1 if there is none, 3 if the loaded \
programs disagree with the other steps, which is a bug of Waggle.";

/// `waggle explain`.
#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    /// The client: an address; with a port also its flow is looked for
    #[arg(value_name = "ADDRESS[:PORT]", required_unless_present_any = ["drop", "object"], requires = "destination")]
    pub client: Option<String>,
    /// What it dials: an address, or a Service as svc/NAME or NAMESPACE/NAME. The port is a number or a port's name, and may
    /// be left out where there is only one
    #[arg(value_name = "DESTINATION[:PORT]")]
    pub destination: Option<String>,
    /// The protocol that the client speaks
    #[arg(long, value_name = "PROTOCOL", default_value = "tcp")]
    pub protocol: Transport,
    /// Where the client is; by default this follows from its address
    #[arg(long, value_name = "PLACE")]
    pub from: Option<ClientKind>,
    /// The device by which packets of a client outside come in; by default the one that the route back to it leads by
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
    /// Do not run a copy of the loaded programs on a made packet
    #[arg(long)]
    pub no_run: bool,
    /// Explain a reason of `waggle get drops` instead of a connection
    #[arg(long, value_name = "REASON", conflicts_with_all = ["client", "object"])]
    pub drop: Option<String>,
    /// Say how a Service is served instead of explaining a connection: svc/NAME or NAMESPACE/NAME
    #[arg(long, value_name = "SERVICE", conflicts_with_all = ["client"])]
    pub object: Option<String>,
    /// The namespace of svc/NAME
    #[arg(long, short, value_name = "NAMESPACE", default_value = "default")]
    pub namespace: String,
    /// The instance to look at
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Output format
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    pub output: ExplainOutput,
}

/// The output formats of `waggle explain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExplainOutput {
    /// Sentences in numbered steps
    Text,
    /// A JSON object
    Json,
    /// A YAML mapping
    Yaml,
}

/// The transport protocols, as `--protocol` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "each is the protocol of its name")]
pub enum Transport {
    Tcp,
    Udp,
    Sctp,
}

impl From<Transport> for Protocol {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Tcp => Self::Tcp,
            Transport::Udp => Self::Udp,
            Transport::Sctp => Self::Sctp,
        }
    }
}

/// Where a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClientKind {
    /// In a pod of this node
    Pod,
    /// A process of this node, outside of all pods
    Node,
    /// Outside of this node: another node, its pods, or any other host
    Outside,
}
