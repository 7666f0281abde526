//! `--nodeport-addresses`, which may be repeated, as in kube-proxy: the lists are joined, and an empty one adds nothing.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, error::ErrorKind};

use crate::config::NodePortAddresses;

const FLAG: &str = "nodeport-addresses";
const HELP: &str = "Where node ports are served: `primary` (the Node object's addresses) or a list of CIDRs. \
                    `healthCheckNodePort` is answered on every address, or on those in the CIDRs and at the \
                    Service's load-balancer IPs [default: primary]";

/// The joined lists of all `--nodeport-addresses` flags; `None` if they are empty or not given.
#[derive(Clone, Debug, Default)]
pub struct NodePortArgs(pub Option<NodePortAddresses>);

impl FromArgMatches for NodePortArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let lists: Vec<_> = matches.get_many::<String>(FLAG).into_iter().flatten().map(String::as_str).collect();
        let joined = lists.into_iter().filter(|list| !list.is_empty()).collect::<Vec<_>>().join(",");
        if joined.is_empty() {
            return Ok(Self(None));
        }
        let wrong =
            |error| Error::raw(ErrorKind::ValueValidation, format!("invalid value '{joined}' for '--{FLAG}': {error}"));
        joined.parse().map(Some).map(Self).map_err(wrong)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for NodePortArgs {
    fn augment_args(command: Command) -> Command {
        command.arg(Arg::new(FLAG).long(FLAG).value_name("primary|CIDR,…").action(ArgAction::Append).help(HELP))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
