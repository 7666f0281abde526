//! Asks the agent for the labels of Services, where a command wants them.

use crate::{
    commands::{
        cli::{GetArgs, What},
        fetch_labels::{LabelsUnavailable, ReportedLabels, fetch_labels},
        get::KnownLabels,
    },
    logging::errors::Report,
};

/// The flags of `waggle get` that need labels.
const FLAGS: &str = "-l and --show-labels";

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
    reported: ReportedLabels,
    /// Whether it has been said that they may be old.
    is_noted: bool,
}

impl LabelSource {
    /// Requests the labels, unless the command needs no labels.
    pub(super) fn fetch(&mut self, args: &GetArgs) -> Result<(), LabelsUnavailable> {
        if args.show_labels || args.selects_by_labels() {
            let tag = self.reported.tag.clone();
            if let Some(reported) = fetch_labels(args.address, &args.instance.instance, tag, FLAGS)? {
                self.reported = reported;
            }
        }
        Ok(())
    }

    /// Requests the labels again. While the agent does not answer, as during a restart, the last labels stay in use, with a note.
    pub(super) fn fetch_again(&mut self, args: &GetArgs) {
        let answer = self.fetch(args);
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
        &self.reported.known
    }
}

#[cfg(test)]
mod tests {
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
}
