//! The arguments of `waggle monitor`.

use std::net::IpAddr;

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use proxy_common::{Counter, EventKind, Outcome};

use super::{InstanceArgs, Output, Transport};

pub(super) const EXAMPLES: &str = "\
Examples:
  waggle monitor
  waggle monitor --type reject,drop
  waggle monitor svc/web -n shop -o wide
  waggle monitor --client 192.0.2.0/24 --port 80
  waggle monitor --reason no_backend --count 1 -o json
  waggle monitor --type new --sample 100";

/// `waggle monitor`.
#[derive(Args, Clone, Debug)]
pub struct MonitorArgs {
    /// Only events of these Services: NAME, svc/NAME or NAMESPACE/NAME. Without --namespace, a NAME is that of a Service in every
    /// namespace. If one isn't there, the exit code is 1
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Only events of Services in this namespace; by default of every namespace, and also those that belong to no Service
    #[arg(long, short, conflicts_with = "all_namespaces")]
    pub namespace: Option<String>,
    /// Events of every namespace, which is the default
    #[arg(long, short = 'A')]
    pub all_namespaces: bool,
    /// Only these types of events, separated by commas
    #[arg(long, short, value_name = "TYPES", value_delimiter = ',')]
    pub r#type: Vec<EventType>,
    /// Only clients with this address or in this prefix. The address of a process's call is only known if its socket is bound
    #[arg(long, value_name = "CIDR", value_parser = prefix)]
    pub client: Option<IpNet>,
    /// Only this protocol
    #[arg(long, value_name = "PROTOCOL")]
    pub protocol: Option<Transport>,
    /// Only this dialled port
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Only refusals for these reasons, separated by commas; `waggle get drops` lists them
    #[arg(long, value_name = "REASONS", value_delimiter = ',', value_parser = reason)]
    pub reason: Vec<Counter>,
    /// Of so many events show about one, by chance. The others cost the node nothing but the choice
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..))]
    pub sample: u32,
    /// End after this many events
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// The instance to look at
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Output format. JSON has one object on each line, YAML one document for each event
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    pub output: Output,
    /// Leave out the titles of the table
    #[arg(long)]
    pub no_headers: bool,
}

/// The types of events, as `--type` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EventType {
    /// A flow or connection has got its backend
    New,
    /// A flow has been closed or reset, or a connected socket closed
    End,
    /// A flow has left a backend that does not serve it any more
    Reselect,
    /// A call or packet was refused, and its client sees that
    Reject,
    /// A call or packet was refused silently, or as unreachable
    Drop,
}

impl From<EventType> for EventKind {
    fn from(kind: EventType) -> Self {
        match kind {
            EventType::New => Self::New,
            EventType::End => Self::End,
            EventType::Reselect => Self::Reselect,
            EventType::Reject => Self::Reject,
            EventType::Drop => Self::Drop,
        }
    }
}

/// Reads a prefix, or an address as the prefix that only it is in.
fn prefix(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(address).ok_or_else(|| "give an address or a prefix, such as 192.0.2.0/24".to_owned())
}

/// Reads the label of a reason to refuse.
fn reason(text: &str) -> Result<Counter, String> {
    let mut refusals = Counter::ALL.into_iter().filter(|counter| counter.label().0 != Outcome::Done);
    let known = || refusals.clone().map(|counter| counter.label().1).collect::<Vec<_>>().join(", ");
    let unknown = format!("the reasons are {}", known());
    refusals.find(|counter| counter.label().1 == text).ok_or(unknown)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::commands::cli::{Cli, Command};

    fn parse(line: &str) -> Result<MonitorArgs, clap::Error> {
        match Cli::try_parse_from(["waggle", "monitor"].into_iter().chain(line.split_whitespace()))?.command {
            Command::Monitor(args) => Ok(*args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lists_are_separated_by_commas() {
        let args = parse("--type new,drop --reason no_backend,no_route web db").unwrap();
        assert_eq!(args.r#type, [EventType::New, EventType::Drop]);
        assert_eq!(args.reason, [Counter::RejectNoBackend, Counter::DropNoRoute]);
        assert_eq!(args.services, ["web", "db"]);
    }

    #[test]
    fn a_client_is_an_address_or_a_prefix() {
        let client = |text| parse(text).map(|args| args.client.unwrap().to_string()).unwrap();
        assert_eq!(client("--client 192.0.2.9"), "192.0.2.9/32");
        assert_eq!(client("--client fd00::/64"), "fd00::/64");
        assert!(parse("--client web").is_err());
    }

    #[test]
    fn what_is_not_known_is_refused_with_what_is() {
        let refused = |line| parse(line).unwrap_err().to_string();
        assert!(refused("--reason socket_translated").contains("the reasons are no_backend, "));
        assert!(refused("--type open").contains("new, end, reselect, reject, drop"));
        assert!(parse("--sample 0").is_err() && parse("--count 0").is_err() && parse("--port 0").is_err());
    }
}
