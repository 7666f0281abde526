//! The flags of `waggle top`.

use std::{net::SocketAddr, time::Duration};

use clap::{Args, ValueEnum};

use super::{InstanceArgs, status::AGENT};
use crate::commands::get::LabelSelector;

pub(super) const EXAMPLES: &str = "\
Examples:
  waggle top
  waggle top -n kube-system --interval 5
  waggle top svc/web shop/cart
  waggle top -l app=web,tier!=back
  waggle top --once
  waggle top -o json | jq '.services | max_by(.connectionsPerSecond)'";

/// `waggle top`.
#[derive(Args, Clone, Debug)]
pub struct TopArgs {
    /// Show only these Services, and only what they add up to: NAME, svc/NAME or NAMESPACE/NAME. Without --namespace, a NAME is
    /// that of a Service in every namespace. If one isn't there at the first look, the exit code is 1; one that goes later is no
    /// longer shown
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Show only Services of this namespace, and only what they add up to. Refusals belong to no namespace and are shown in any
    /// case
    #[arg(long, short, conflicts_with = "all_namespaces")]
    pub namespace: Option<String>,
    /// Show every namespace, which is the default
    #[arg(long, short = 'A')]
    pub all_namespaces: bool,
    /// Show only Services whose labels fulfil these conditions, and only what they add up to: KEY=VALUE, KEY!=VALUE,
    /// KEY in (VALUE,…), KEY notin (VALUE,…), KEY, !KEY, several separated by commas. Needs the running agent, which is asked for
    /// the labels at each look
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    pub selector: Option<LabelSelector>,
    /// Where to ask the agent for labels: the address of `waggle run --metrics-bind-address`
    #[arg(long, value_name = "IP:PORT", default_value_t = AGENT)]
    pub address: SocketAddr,
    /// The instance to look at
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Time between two looks at the maps, in seconds
    #[arg(long, short = 'd', value_name = "SECONDS", default_value = "1",
        value_parser = clap::value_parser!(u16).range(1..=3600))]
    interval: u16,
    /// Look twice, print one frame as plain text, and end
    #[arg(long)]
    pub once: bool,
    /// Output format; JSON and YAML are of one frame, as with --once
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    pub output: TopOutput,
}

/// The output formats of `waggle top`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TopOutput {
    /// Live on a terminal, else aligned columns
    Table,
    /// A JSON object
    Json,
    /// A YAML mapping
    Yaml,
}

impl TopArgs {
    /// Returns the time between two looks.
    pub fn interval(&self) -> Duration {
        Duration::from_secs(self.interval.into())
    }

    /// Whether one frame is printed, and the command ends then.
    pub fn is_once(&self) -> bool {
        self.once || self.output != TopOutput::Table
    }
}

#[cfg(test)]
mod tests {
    use clap::{Parser as _, error::ErrorKind};

    use super::*;
    use crate::commands::cli::{Cli, Command};

    fn parse(line: &str) -> Result<TopArgs, clap::Error> {
        match Cli::try_parse_from(["waggle", "top"].into_iter().chain(line.split_whitespace()))?.command {
            Command::Top(args) => Ok(args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn services_are_chosen_as_by_the_other_commands() {
        let args = parse("web -A shop/cart -l app=web,!canary").unwrap();
        assert_eq!(args.services, ["web", "shop/cart"]);
        assert_eq!(args.selector, Some("app=web,!canary".parse().unwrap()));
        assert_eq!(args.address, AGENT);
        assert_eq!(parse("-A -n shop").unwrap_err().kind(), ErrorKind::ArgumentConflict);
        let message = parse("-l app=(").unwrap_err().to_string();
        assert!(message.contains("\n  app=(\n      ^\n"), "{message}");
    }
}
