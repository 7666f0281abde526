//! Asks the agent for the labels of Services, where a command wants them.

use std::net::SocketAddr;

use crate::{
    commands::{
        cli::{GetArgs, What},
        fetch::{OtherInstance, fetch},
        get::KnownLabels,
    },
    logging::errors::Report,
    server::labels::{LabelReport, PATH},
};

/// Why the agent can't be asked.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The agent can't be asked for labels.
#[derive(Debug, thiserror::Error)]
#[error(
    "labels are not in the maps: only the agent of instance {instance:?} knows them, and it can't be asked (start it, or name \
     the address of its metrics with --address; without -l and --show-labels, no agent is needed)"
)]
pub(super) struct LabelsUnavailable {
    instance: String,
    source: Cause,
}

/// The agent has just started.
#[derive(Debug, thiserror::Error)]
#[error("the agent at {0} has not programmed anything yet; try again soon")]
struct NotYet(SocketAddr);

/// Labels are asked for where there are none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotLabelled {
    #[error(
        "select {0} by labels: -l is for services, endpoints, flows and affinity, whose rows belong to one Service each"
    )]
    Selected(String),
    #[error("show labels of {0}: --show-labels is for services")]
    Shown(String),
}

/// Checks that there are labels where a command wants them.
pub(super) fn check(args: &GetArgs) -> Result<(), NotLabelled> {
    let kind = args.what.kind;
    let has_service = matches!(kind, What::Services | What::Endpoints | What::Flows | What::Affinity);
    if args.selects_by_labels() && !has_service {
        return Err(NotLabelled::Selected(kind.word()));
    }
    if args.show_labels && kind != What::Services {
        return Err(NotLabelled::Shown(kind.word()));
    }
    Ok(())
}

/// The labels of the agent's last response.
#[derive(Debug, Default)]
pub(super) struct LabelSource {
    known: KnownLabels,
    /// Whether it has been said that they may be old.
    is_noted: bool,
}

impl LabelSource {
    /// Asks the agent, unless the command needs no labels.
    pub(super) fn ask(&mut self, args: &GetArgs) -> Result<(), LabelsUnavailable> {
        if args.show_labels || args.selects_by_labels() {
            let instance = &args.instance.instance;
            let known = ask(args.address, instance);
            self.known = known.map_err(|source| LabelsUnavailable { instance: instance.clone(), source })?;
        }
        Ok(())
    }

    /// Asks the agent again. While it does not say, as when it restarts, the last labels count, with a note.
    pub(super) fn ask_again(&mut self, args: &GetArgs) {
        let answer = self.ask(args);
        if let Err(error) = &answer
            && !self.is_noted
        {
            eprintln!(
                "waggle: labels are as they were last, until the agent answers again: {}",
                Report(&*error.source)
            );
        }
        self.is_noted = answer.is_err();
    }

    /// Returns the labels; none if the command needs none.
    pub(super) fn known(&self) -> &KnownLabels {
        &self.known
    }
}

fn ask(address: SocketAddr, instance: &str) -> Result<KnownLabels, Cause> {
    checked(fetch(address, PATH)?, address, instance)
}

/// Returns the labels that the agent at an address reports, if it belongs to `instance` and has programmed something.
fn checked(report: LabelReport, address: SocketAddr, instance: &str) -> Result<KnownLabels, Cause> {
    let LabelReport { instance: found, services } = report;
    if found != instance {
        return Err(OtherInstance { address, found }.into());
    }
    Ok(KnownLabels::new(services.ok_or(NotYet(address))?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::Parser as _;

    use super::*;
    use crate::commands::cli::{Cli, Command};

    fn refusal(line: &str) -> Result<(), String> {
        match Cli::try_parse_from(["waggle", "get"].into_iter().chain(line.split(' '))).unwrap().command {
            Command::Get(args) => check(&args).map_err(|error| error.to_string()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn labels_are_those_of_services() {
        for kind in ["services", "endpoints", "flows", "affinity"] {
            assert_eq!(refusal(&format!("{kind} -l app=web")), Ok(()));
        }
        assert_eq!(refusal("svc --show-labels"), Ok(()));
        for kind in ["backends", "drops", "devices", "maps"] {
            let error = refusal(&format!("{kind} --selector !app")).unwrap_err();
            assert!(error.starts_with(&format!("select {kind} by labels: -l is for services")), "{error}");
        }
        let error = refusal("endpoints --show-labels").unwrap_err();
        assert_eq!(error, "show labels of endpoints: --show-labels is for services");
    }

    #[test]
    fn only_the_agent_of_the_instance_is_believed_once_it_has_programmed_something() {
        let address = SocketAddr::from(([127, 0, 0, 1], 10249));
        let message = |instance: &str, services| {
            let report = LabelReport { instance: instance.to_owned(), services };
            checked(report, address, "default").map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(message("default", Some(BTreeMap::new())), Ok(()));
        let other = "the agent at 127.0.0.1:10249 belongs to instance \"lab\"".to_owned();
        assert_eq!(message("lab", Some(BTreeMap::new())), Err(other));
        let early = "the agent at 127.0.0.1:10249 has not programmed anything yet; try again soon".to_owned();
        assert_eq!(message("default", None), Err(early));
    }
}
