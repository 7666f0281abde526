//! Asks the agent of an instance for the labels of Services, which the maps do not have.

use std::net::SocketAddr;

use http::HeaderValue;

use crate::{
    commands::{
        fetch::{FetchError, OtherInstance, Tagged, fetch_changed, request_changed},
        get::KnownLabels,
    },
    server::labels::{LabelReport, PATH},
};

/// Why an agent gives no labels.
#[derive(Debug, thiserror::Error)]
pub enum NoLabels {
    /// There is no document.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The agent belongs to another instance.
    #[error(transparent)]
    OtherInstance(#[from] OtherInstance),
    /// The agent has just started.
    #[error("the agent at {0} has not programmed anything yet; try again soon")]
    NotYet(SocketAddr),
}

/// The agent can't be asked for labels.
#[derive(Debug, thiserror::Error)]
#[error(
    "labels are not in the maps: only the agent of instance {instance:?} knows them, and it can't be asked (start it, or name \
     the address of its metrics with --address; without {flags}, no agent is needed)"
)]
pub struct LabelsUnavailable {
    /// The instance.
    pub instance: String,
    /// The command's flags that need labels.
    pub flags: &'static str,
    /// Why.
    pub source: Box<NoLabels>,
}

/// The labels that an agent has reported last.
#[derive(Clone, Debug, Default)]
pub struct ReportedLabels {
    /// The labels.
    pub known: KnownLabels,
    /// The agent's tag for them.
    pub tag: Option<HeaderValue>,
}

/// Waits for the labels that the agent of `instance` reports; `None` if they still have this tag. `flags` are those of the command
/// that need them. Must not be called in a runtime: see [`request_labels`].
pub fn fetch_labels(
    address: SocketAddr,
    instance: &str,
    tag: Option<HeaderValue>,
    flags: &'static str,
) -> Result<Option<ReportedLabels>, LabelsUnavailable> {
    let reported = fetch_changed(address, PATH, tag).map_err(NoLabels::from);
    let reported = reported.and_then(|report| report.map(|report| checked(report, address, instance)).transpose());
    reported.map_err(|source| LabelsUnavailable { instance: instance.to_owned(), flags, source: Box::new(source) })
}

/// Returns the labels that the agent of `instance` reports; `None` if they still have this tag.
pub async fn request_labels(
    address: SocketAddr,
    instance: &str,
    tag: Option<HeaderValue>,
) -> Result<Option<ReportedLabels>, NoLabels> {
    let report = request_changed(address, PATH, tag).await?;
    report.map(|report| checked(report, address, instance)).transpose()
}

/// Returns the labels that the agent at an address reports, if it belongs to `instance` and has programmed something.
fn checked(report: Tagged<LabelReport>, address: SocketAddr, instance: &str) -> Result<ReportedLabels, NoLabels> {
    let Tagged { document: LabelReport { instance: found, services }, tag } = report;
    if found != instance {
        return Err(OtherInstance { address, found }.into());
    }
    Ok(ReportedLabels { known: KnownLabels::new(services.ok_or(NoLabels::NotYet(address))?), tag })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn only_the_agent_of_the_instance_is_believed_once_it_has_programmed_something() {
        let address = SocketAddr::from(([127, 0, 0, 1], 10249));
        let message = |instance: &str, services| {
            let document = LabelReport { instance: instance.to_owned(), services };
            checked(Tagged { document, tag: None }, address, "default").map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(message("default", Some(BTreeMap::new())), Ok(()));
        let other = "the agent at 127.0.0.1:10249 belongs to instance \"lab\"".to_owned();
        assert_eq!(message("lab", Some(BTreeMap::new())), Err(other));
        let early = "the agent at 127.0.0.1:10249 has not programmed anything yet; try again soon".to_owned();
        assert_eq!(message("default", None), Err(early));
    }
}
