//! The document about one service port: its frontends, its backends and their state, and where its open flows go. Pure.

use serde::Serialize;

use super::{
    look::Look,
    picture::Picture,
    rates::{RatesPart, rounded},
    services::milliseconds,
};
use crate::commands::{
    get::{ListCell, ServicePort, ServiceRow, SourcesCell, services},
    top::backends::BackendShare,
};

/// The most backends in a document.
const MOST: usize = 200;

/// The document.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServiceDocument {
    #[serde(flatten)]
    port: ServicePort,
    /// When the maps were read, in milliseconds of Unix time.
    time: u64,
    /// The rates; absent if they are not known yet.
    rates: Option<RatesPart>,
    /// Flows since the port got its id.
    connections: u64,
    history: PortHistory,
    frontends: Vec<FrontendPart>,
    /// How many backends there are.
    backend_count: usize,
    /// The first of them.
    backends: Vec<BackendPart>,
    picture: Picture,
    /// There are more flows than are counted.
    is_cut: bool,
}

/// The rates of the last looks, the oldest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct PortHistory {
    connections: Vec<Option<f64>>,
    packets: Vec<Option<f64>>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct FrontendPart {
    r#type: String,
    address: String,
    internal: ListPart,
    external: ListPart,
    /// What happens to new flows while their list is empty.
    when_empty: &'static str,
    /// The timeout of session affinity; 0 means no affinity.
    affinity_seconds: u32,
    sources: Option<SourcesCell>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct ListPart {
    policy: &'static str,
    backends: usize,
}

/// What a backend gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum BackendState {
    /// New flows.
    Serving,
    /// It has left its lists but still serves the flows that it has.
    Draining,
    /// It has left its lists, and its flows are still open.
    Removed,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct BackendPart {
    address: String,
    local: bool,
    state: BackendState,
    /// The chance that a new flow of the Cluster list gets the backend.
    cluster_share: Option<f64>,
    /// Likewise for the Local list.
    local_share: Option<f64>,
    flows: u64,
}

/// Makes the document from a look that has read the port's flows; `None` if there is no such port.
pub(super) fn document(look: &Look, port: &ServicePort) -> Option<ServiceDocument> {
    let row = look.rows.iter().find(|row| row.port == *port)?;
    let flows = look.flows.get(port).cloned().unwrap_or_default();
    let frontends = services(&look.sample.snapshot).into_iter().filter(|row| row.service_port == *port);
    let mut backends: Vec<BackendPart> = flows.backends.iter().map(|share| backend(share, &flows.draining)).collect();
    let idle = flows.draining.iter().filter(|address| flows.backends.iter().all(|share| share.address != **address));
    backends.extend(idle.map(|address| {
        backend(&BackendShare { address: address.clone(), ..BackendShare::default() }, &flows.draining)
    }));
    Some(ServiceDocument {
        port: port.clone(),
        time: milliseconds(look),
        rates: row.rates,
        connections: row.connections,
        history: history(look, port),
        frontends: frontends.map(frontend).collect(),
        backend_count: backends.len(),
        backends: backends.into_iter().take(MOST).collect(),
        picture: flows.picture,
        is_cut: flows.is_cut,
    })
}

fn history(look: &Look, port: &ServicePort) -> PortHistory {
    let rates: Vec<_> = look.history.of(port).collect();
    PortHistory {
        connections: rates.iter().map(|rates| rates.map(|rates| rounded(rates.connections))).collect(),
        packets: rates.iter().map(|rates| rates.map(|rates| rounded(rates.packets))).collect(),
    }
}

fn frontend(row: ServiceRow) -> FrontendPart {
    let list = |list: &ListCell| ListPart { policy: list.policy, backends: list.backends.len() };
    FrontendPart {
        internal: list(&row.internal),
        external: list(&row.external),
        r#type: row.r#type,
        address: row.address,
        when_empty: row.when_empty,
        affinity_seconds: row.affinity_seconds,
        sources: row.sources,
    }
}

fn backend(share: &BackendShare, draining: &[String]) -> BackendPart {
    let state = match share {
        _ if draining.contains(&share.address) => BackendState::Draining,
        BackendShare { cluster: None, local: None, .. } => BackendState::Removed,
        _ => BackendState::Serving,
    };
    BackendPart {
        address: share.address.clone(),
        local: share.is_local,
        state,
        cluster_share: share.cluster,
        local_share: share.local,
        flows: share.flows.unwrap_or_default(),
    }
}
