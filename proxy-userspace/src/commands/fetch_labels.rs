//! Asks the agent of an instance for the labels of Services, which the maps do not have.

use std::net::SocketAddr;

use crate::{
    commands::{
        fetch::{OtherInstance, fetch, request},
        get::KnownLabels,
    },
    server::labels::{LabelReport, PATH},
};

/// Why the agent can't be asked.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

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
    pub source: Cause,
}

/// The agent has just started.
#[derive(Debug, thiserror::Error)]
#[error("the agent at {0} has not programmed anything yet; try again soon")]
struct NotYet(SocketAddr);

/// Waits for the labels that the agent of `instance` reports. Must not be called in a runtime: see [`request_labels`].
pub fn fetch_labels(address: SocketAddr, instance: &str) -> Result<KnownLabels, Cause> {
    checked(fetch(address, PATH)?, address, instance)
}

/// Returns the labels that the agent of `instance` reports.
pub async fn request_labels(address: SocketAddr, instance: &str) -> Result<KnownLabels, Cause> {
    checked(request(address, PATH).await?, address, instance)
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

    use super::*;

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
