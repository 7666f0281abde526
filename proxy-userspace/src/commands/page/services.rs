//! The document with the service ports and the rates of all. Which of very many ports are shown, and in which order, is decided
//! here: a browser could not hold them all. Pure.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    time::UNIX_EPOCH,
};

use proxy_common::Backend;
use serde::Serialize;

use super::{
    look::Look,
    rates::{RatesPart, rounded},
};
use crate::{
    commands::{
        get::{ServicePort, ServiceRow, Snapshot, services},
        top::rates::Figures,
    },
    maps::encode,
    server::page::Parameters,
};

/// The most rows in a document.
const MOST: usize = 200;

/// A service port.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PortRow {
    /// Its names.
    #[serde(flatten)]
    pub(super) port: ServicePort,
    /// The kinds of its frontends.
    pub(super) types: BTreeSet<String>,
    /// What clients dial.
    pub(super) addresses: Vec<String>,
    /// How many backends may get new flows.
    pub(super) backends: usize,
    /// How many of these are on this node.
    pub(super) local: usize,
    /// What happens to new flows, if it has no backends: `rejects` or `drops`.
    pub(super) refuses: Option<&'static str>,
    /// The rates; absent if they are not known yet.
    pub(super) rates: Option<RatesPart>,
    /// Flows since the port got its id.
    pub(super) connections: u64,
}

impl PortRow {
    /// Returns the service ports by their names.
    pub(super) fn all(snapshot: &Snapshot, figures: &Figures) -> Vec<Self> {
        let local = snapshot.backends.values().filter(|backend| backend.is_local());
        let local: BTreeSet<String> =
            local.map(|backend: &Backend| encode::backend_address(backend).to_string()).collect();
        let mut frontends: BTreeMap<ServicePort, Vec<ServiceRow>> = BTreeMap::new();
        for row in services(snapshot) {
            frontends.entry(row.service_port.clone()).or_default().push(row);
        }
        let row = |rates: &crate::commands::top::rates::PortRates| {
            let rows = frontends.remove(&rates.port).unwrap_or_default();
            let lists = rows.iter().flat_map(|row| [&row.internal, &row.external]);
            let backends: BTreeSet<&String> = lists.flat_map(|list| &list.backends).collect();
            Self {
                port: rates.port.clone(),
                types: rows.iter().map(|row| row.r#type.clone()).collect(),
                addresses: rows.iter().map(|row| row.address.clone()).collect(),
                backends: backends.len(),
                local: backends.iter().filter(|address| local.contains(**address)).count(),
                refuses: rows.first().filter(|_| backends.is_empty()).map(|row| row.when_empty),
                rates: rates.rates.map(Into::into),
                connections: rates.connections,
            }
        };
        figures.ports.iter().map(row).collect()
    }

    /// Whether a text, in lower case, is in what the row says.
    fn contains(&self, text: &str) -> bool {
        let words = self.types.iter().chain(&self.addresses).chain([&self.port.protocol]);
        text.is_empty()
            || self.port.to_string().to_lowercase().contains(text)
            || words.into_iter().any(|word| word.to_lowercase().contains(text))
    }
}

/// How rows are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Name,
    Backends,
    Connections,
    Packets,
    Bytes,
}

/// Which rows are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// In lower case.
    filter: String,
    sort: Sort,
    is_descending: bool,
}

impl Asked {
    /// Reads the parameters `filter`, `sort` and `order`. The error is for people.
    pub(super) fn parse(parameters: &Parameters) -> Result<Self, String> {
        let sort = match parameters.get("sort") {
            "" | "name" => Sort::Name,
            "backends" => Sort::Backends,
            "connections" => Sort::Connections,
            "packets" => Sort::Packets,
            "bytes" => Sort::Bytes,
            other => {
                return Err(format!("sort by {other:?}: give name, backends, connections, packets or bytes"));
            }
        };
        let is_descending = match parameters.get("order") {
            "" | "ascending" => false,
            "descending" => true,
            other => return Err(format!("sort in order {other:?}: give ascending or descending")),
        };
        Ok(Self { filter: parameters.get("filter").to_lowercase(), sort, is_descending })
    }

    /// Rows that are equal stay in the order of their names.
    fn compare(&self, a: &PortRow, b: &PortRow) -> Ordering {
        let rate = |of: fn(&RatesPart) -> f64| {
            let rate = |row: &PortRow| row.rates.as_ref().map_or(-1.0, of);
            rate(a).total_cmp(&rate(b))
        };
        let order = match self.sort {
            Sort::Name => a.port.cmp(&b.port),
            Sort::Backends => a.backends.cmp(&b.backends),
            Sort::Connections => rate(|rates| rates.connections),
            Sort::Packets => rate(|rates| rates.packets),
            Sort::Bytes => rate(|rates| rates.bytes),
        };
        if self.is_descending { order.reverse() } else { order }
    }
}

/// The document.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServicesDocument<'a> {
    /// When the maps were read, in milliseconds of Unix time.
    time: u64,
    /// The sum of all rates; absent if they are not known yet.
    total: Option<RatesPart>,
    /// Refusals per second.
    refused: f64,
    history: TotalHistory,
    /// How many service ports there are.
    count: usize,
    /// How many of them match the filter.
    matching: usize,
    /// The first of these.
    services: Vec<ShownRow<'a>>,
}

/// The sums of the last looks, the oldest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct TotalHistory {
    connections: Vec<f64>,
    packets: Vec<f64>,
    bytes: Vec<f64>,
    refused: Vec<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct ShownRow<'a> {
    #[serde(flatten)]
    row: &'a PortRow,
    /// New connections per second of the last looks, the oldest first.
    history: Vec<Option<f64>>,
}

/// Returns the milliseconds of Unix time at which a look was made.
pub(super) fn milliseconds(look: &Look) -> u64 {
    let since = look.time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Makes the document.
pub(super) fn document<'a>(look: &'a Look, asked: &Asked) -> ServicesDocument<'a> {
    let mut rows: Vec<&PortRow> = look.rows.iter().filter(|row| row.contains(&asked.filter)).collect();
    rows.sort_by(|a, b| asked.compare(a, b));
    let total: Vec<RatesPart> = look.history.total().map(Into::into).collect();
    let column = |of: fn(&RatesPart) -> f64| total.iter().map(of).collect();
    ServicesDocument {
        time: milliseconds(look),
        total: (!look.figures.elapsed.is_zero()).then(|| look.figures.total.into()),
        refused: rounded(look.figures.refused),
        history: TotalHistory {
            connections: column(|rates| rates.connections),
            packets: column(|rates| rates.packets),
            bytes: column(|rates| rates.bytes),
            refused: look.history.refused().map(rounded).collect(),
        },
        count: look.rows.len(),
        matching: rows.len(),
        services: rows.into_iter().take(MOST).map(|row| ShownRow { row, history: history(look, &row.port) }).collect(),
    }
}

/// Returns a port's new connections per second, the oldest first.
fn history(look: &Look, port: &ServicePort) -> Vec<Option<f64>> {
    look.history.of(port).map(|rates| rates.map(|rates| rounded(rates.connections))).collect()
}
