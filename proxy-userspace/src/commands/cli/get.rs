//! The arguments of `waggle get`.

use std::{ffi::OsStr, net::SocketAddr};

use clap::{
    Args, ValueEnum,
    builder::{EnumValueParser, PossibleValue, TypedValueParser},
};

use super::{InstanceArgs, status::AGENT};
use crate::commands::get::{FieldSelector, LabelSelector};

pub(super) const EXAMPLES: &str = "\
Examples:
  waggle get services -n kube-system
  waggle get service/web -o wide
  waggle get services -l app=web,tier!=back --show-labels
  waggle get backends 10.244.1.7 -o yaml
  waggle get flows 192.0.2.9
  waggle get flows web --field-selector state=established,backend=10.244.1.7
  waggle get flows --field-selector 'ageSeconds>3600' --sort-by ageSeconds
  waggle get endpoints web --watch --output-watch-events
  waggle get drops --watch";

/// `waggle get`.
#[derive(Args, Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "flags are independent of each other")]
pub struct GetArgs {
    /// What to show; or one thing, as KIND/NAME
    #[arg(value_name = "KIND", value_parser = TargetParser)]
    pub what: Target,
    /// Show only these: names of Services, devices, maps and reasons, addresses of backends and clients. If one isn't there,
    /// the exit code is 1. Behind KIND/NAME, further ones are KIND/NAME, too
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Show only what belongs to this namespace; by default every namespace is shown. Devices, drops and maps belong to
    /// none and are shown in any case
    #[arg(long, short, conflicts_with = "all_namespaces")]
    pub namespace: Option<String>,
    /// Show every namespace, which is the default
    #[arg(long, short = 'A')]
    pub all_namespaces: bool,
    /// Show only rows whose fields have these values (FIELD=VALUE), others (FIELD!=VALUE), or numbers below or above a limit
    /// (FIELD<NUMBER, FIELD>NUMBER), several separated by commas. Fields have the names that JSON has; an address matches with its
    /// port or without. In a value, `\,`, `\=` and `\\` stand for a comma, `=` and a backslash
    #[arg(long, value_name = "CONDITIONS")]
    pub field_selector: Option<FieldSelector>,
    /// Sort rows by a field, which has the name that JSON has, also as kubectl's JSONPath of one field: {.FIELD}. With --watch, the
    /// rows of each look
    #[arg(long, value_name = "FIELD")]
    pub sort_by: Option<String>,
    /// Show only rows whose Service has labels that fulfil these conditions: KEY=VALUE, KEY!=VALUE, KEY in (VALUE,…),
    /// KEY notin (VALUE,…), KEY, !KEY, several separated by commas. For services, endpoints, flows and affinity. Needs the running
    /// agent, which is asked for the labels
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    pub selector: Option<LabelSelector>,
    /// Show the labels of Services, in the last column or the field `labels`. For services. Needs the running agent, which is
    /// asked for the labels
    #[arg(long)]
    pub show_labels: bool,
    /// Where to ask the agent for labels: the address of `waggle run --metrics-bind-address`
    #[arg(long, value_name = "IP:PORT", default_value_t = AGENT)]
    pub address: SocketAddr,
    /// The instance to look at
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Output format
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    pub output: Output,
    /// Leave out the titles of tables
    #[arg(long)]
    pub no_headers: bool,
    /// After printing all rows, look every second, and print those that are new or have changed, and those that are gone as they
    /// were last. Ends with exit code 1 when the instance is removed
    #[arg(long, short)]
    pub watch: bool,
    /// With --watch: say of each row whether it was ADDED, MODIFIED or DELETED, in a column, or as `type` beside `object`
    #[arg(long, requires = "watch")]
    pub output_watch_events: bool,
}

/// Why names can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("get {name}: give {kind}/NAME, since the first argument has this form; one command shows one kind")]
pub struct NotOfKind {
    kind: String,
    name: String,
}

impl GetArgs {
    /// Whether a row's labels decide whether it is shown.
    pub fn selects_by_labels(&self) -> bool {
        self.selector.as_ref().is_some_and(|selector| !selector.selects_all())
    }

    /// Returns the names that are asked for; none if all are.
    pub fn names(&self) -> Result<Vec<String>, NotOfKind> {
        let Some(first) = &self.what.name else { return Ok(self.names.clone()) };
        let name = |name: &String| {
            let of_kind = name.split_once('/').filter(|(kind, _)| What::from_str(kind, false) == Ok(self.what.kind));
            let named = of_kind.filter(|(_, name)| !name.is_empty()).map(|(_, name)| name.to_owned());
            named.ok_or_else(|| NotOfKind { kind: self.what.kind.word(), name: name.clone() })
        };
        [Ok(first.clone())].into_iter().chain(self.names.iter().map(name)).collect()
    }
}

/// What `waggle get` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Frontends and their Services
    #[value(alias = "service", alias = "svc")]
    Services,
    /// Service ports and their backends
    #[value(alias = "endpoint", alias = "ep")]
    Endpoints,
    /// Backends and the Services that use them
    #[value(alias = "backend")]
    Backends,
    /// Flows of packets with their states, and sockets of this node that are connected to a Service
    #[value(alias = "flow")]
    Flows,
    /// Clients that keep their backends by session affinity
    Affinity,
    /// Reasons for which packets and calls were rejected or dropped, and how often
    #[value(alias = "drop")]
    Drops,
    /// Devices and their programs
    #[value(alias = "device")]
    Devices,
    /// Pinned maps and how full they are
    #[value(alias = "map")]
    Maps,
}

impl What {
    /// Returns the kind's name.
    pub fn word(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// What to show: all of a kind, or one by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The kind.
    pub kind: What,
    /// The name behind the kind.
    name: Option<String>,
}

/// Reads KIND or KIND/NAME.
#[derive(Clone, Debug)]
struct TargetParser;

impl TypedValueParser for TargetParser {
    type Value = Target;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Target, clap::Error> {
        let text = value.to_string_lossy();
        let (kind, name) = match text.split_once('/') {
            // Without a name it is no kind, and is refused with the list of kinds.
            Some((kind, name)) if !name.is_empty() => (kind, Some(name.to_owned())),
            _ => (&*text, None),
        };
        let kind = EnumValueParser::<What>::new().parse_ref(command, argument, OsStr::new(kind))?;
        Ok(Target { kind, name })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(What::value_variants().iter().filter_map(ValueEnum::to_possible_value)))
    }
}

/// The output formats of the commands that show something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Aligned columns
    Table,
    /// Aligned columns, with more of them
    Wide,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::commands::cli::{Cli, Command};

    fn parse(line: &str) -> Result<GetArgs, clap::Error> {
        match Cli::try_parse_from(["waggle", "get"].into_iter().chain(line.split(' ')))?.command {
            Command::Get(args) => Ok(args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn kinds_have_the_names_that_kubectl_has() {
        for (words, kind) in [
            (&["services", "service", "svc"][..], What::Services),
            (&["endpoints", "endpoint", "ep"], What::Endpoints),
            (&["flows", "flow"], What::Flows),
            (&["devices", "device"], What::Devices),
        ] {
            for word in words {
                assert_eq!(parse(word).unwrap().what, Target { kind, name: None });
                let named = parse(&format!("{word}/web")).unwrap();
                assert_eq!((named.what.kind, named.names()), (kind, Ok(vec!["web".to_owned()])));
            }
        }
    }

    #[test]
    fn names_follow_the_kind_or_are_behind_it() {
        let names = |line: &str| parse(line).unwrap().names();
        assert_eq!(names("services"), Ok(vec![]));
        assert_eq!(names("services web db"), Ok(vec!["web".to_owned(), "db".to_owned()]));
        assert_eq!(names("svc/web service/db"), Ok(vec!["web".to_owned(), "db".to_owned()]));
        for (line, name) in [("svc/web db", "db"), ("svc/web ep/db", "ep/db"), ("svc/web svc/", "svc/")] {
            let expected = NotOfKind { kind: "services".to_owned(), name: name.to_owned() };
            assert_eq!(names(line), Err(expected), "{line}");
        }
    }

    #[test]
    fn other_kinds_are_refused_with_the_list_of_kinds() {
        for line in ["pods", "pods/web", "services/"] {
            let message = parse(line).unwrap_err().to_string();
            assert!(message.contains("services, endpoints, backends"), "{message}");
        }
        assert!(parse("flows --field-selector state").is_err());
        assert!(parse("flows --output-watch-events").is_err(), "events are of a watch");
        let message = parse("svc -l app=(").unwrap_err().to_string();
        assert!(message.contains("\n  app=(\n      ^\n"), "{message}");
    }
}
