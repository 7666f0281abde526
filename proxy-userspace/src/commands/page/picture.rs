//! The picture of a service port's open flows: from clients to what they dial, and from there to backends. Pure.

use std::{cmp::Reverse, collections::BTreeMap};

use serde::Serialize;

use crate::commands::{get::FlowRow, top::backends::is_open};

/// The most places in a column. Those with the fewest flows share the last one.
const MOST: usize = 8;
/// The client of sockets, whose own addresses the maps don't hold.
const SOCKETS: &str = "this node and its pods";

/// Three columns, and the flows between them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Picture {
    /// The number of open flows.
    pub(super) flows: u64,
    /// The client that has opened them.
    pub(super) clients: Vec<Place>,
    /// What was dialled.
    pub(super) frontends: Vec<Place>,
    /// Where they lead.
    pub(super) backends: Vec<Place>,
    /// Flows from clients to frontends.
    pub(super) arrivals: Vec<Link>,
    /// Flows from frontends to backends.
    pub(super) deliveries: Vec<Link>,
}

/// A place in a column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Place {
    /// An address, or how many places it stands for.
    pub(super) name: String,
    /// Its open flows.
    pub(super) flows: u64,
}

/// The flows between two places, by their indexes in their columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Link {
    from: usize,
    to: usize,
    flows: u64,
}

/// A column, and the index of each name in it.
struct Column<'a> {
    places: Vec<Place>,
    indexes: BTreeMap<&'a str, usize>,
}

impl Picture {
    /// Draws the flows that have not ended.
    pub(super) fn of(flows: &[FlowRow]) -> Self {
        let open: Vec<[&str; 3]> = flows.iter().filter(|flow| is_open(flow)).map(ends).collect();
        let column = |number: usize| Column::of(open.iter().map(|ends| ends[number]));
        let (clients, frontends, backends) = (column(0), column(1), column(2));
        Self {
            flows: open.len() as u64,
            arrivals: links(&clients, &frontends, open.iter().map(|ends| (ends[0], ends[1]))),
            deliveries: links(&frontends, &backends, open.iter().map(|ends| (ends[1], ends[2]))),
            clients: clients.places,
            frontends: frontends.places,
            backends: backends.places,
        }
    }
}

/// Returns client, frontend and backend of a flow, the client without its port.
fn ends(flow: &FlowRow) -> [&str; 3] {
    let client = flow.client.as_deref().map_or(SOCKETS, |client| client.rsplit_once(':').map_or(client, |(ip, _)| ip));
    [client, &flow.frontend, &flow.backend]
}

impl<'a> Column<'a> {
    fn of(names: impl Iterator<Item = &'a str>) -> Self {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for name in names {
            *counts.entry(name).or_default() += 1;
        }
        let mut sorted: Vec<(&str, u64)> = counts.into_iter().collect();
        sorted.sort_by_key(|(_, flows)| Reverse(*flows));
        let own = if sorted.len() > MOST { MOST - 1 } else { sorted.len() };
        let (shown, merged) = sorted.split_at(own);
        let place = |(name, flows): &(&str, u64)| Place { name: (*name).to_owned(), flows: *flows };
        let mut places: Vec<Place> = shown.iter().map(place).collect();
        if !merged.is_empty() {
            let flows = merged.iter().map(|(_, flows)| flows).sum();
            places.push(Place { name: format!("{} more", merged.len()), flows });
        }
        let indexes = sorted.iter().enumerate().map(|(index, (name, _))| (*name, index.min(own))).collect();
        Self { places, indexes }
    }
}

fn links<'a>(from: &Column<'a>, to: &Column<'a>, flows: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Link> {
    let mut counts: BTreeMap<(usize, usize), u64> = BTreeMap::new();
    for (start, end) in flows {
        if let Some((start, end)) = from.indexes.get(start).zip(to.indexes.get(end)) {
            *counts.entry((*start, *end)).or_default() += 1;
        }
    }
    counts.into_iter().map(|((from, to), flows)| Link { from, to, flows }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::get::ServicePort;

    fn flow(client: Option<&str>, frontend: &str, backend: &str, state: &'static str) -> FlowRow {
        let [namespace, name, port, protocol] = ["default", "web", "", "TCP"].map(str::to_owned);
        FlowRow {
            service_port: ServicePort { namespace, name, port, protocol },
            client: client.map(str::to_owned),
            socket: None,
            frontend: frontend.to_owned(),
            backend: backend.to_owned(),
            source: None,
            state,
            age_seconds: None,
            expires_seconds: None,
        }
    }

    fn place(name: &str, flows: u64) -> Place {
        Place { name: name.to_owned(), flows }
    }

    #[test]
    fn flows_join_clients_frontends_and_backends() {
        let picture = Picture::of(&[
            flow(Some("192.0.2.9:40000"), "192.0.2.1:30080", "10.1.0.1:80", "established"),
            flow(Some("192.0.2.9:40001"), "192.0.2.1:30080", "10.1.0.2:80", "established"),
            flow(None, "10.96.0.10:80", "10.1.0.2:80", "connected"),
            flow(Some("[fd00::9]:40001"), "10.96.0.10:80", "10.1.0.2:80", "closed"),
        ]);
        assert_eq!(picture.flows, 3, "one has ended");
        assert_eq!(picture.clients, [place("192.0.2.9", 2), place(SOCKETS, 1)]);
        assert_eq!(picture.frontends, [place("192.0.2.1:30080", 2), place("10.96.0.10:80", 1)]);
        assert_eq!(picture.backends, [place("10.1.0.2:80", 2), place("10.1.0.1:80", 1)]);
        assert_eq!(picture.arrivals, [Link { from: 0, to: 0, flows: 2 }, Link { from: 1, to: 1, flows: 1 }]);
        let deliveries = [(0, 0), (0, 1), (1, 0)].map(|(from, to)| Link { from, to, flows: 1 });
        assert_eq!(picture.deliveries, deliveries);
    }

    #[test]
    fn the_smallest_places_share_one() {
        let names: Vec<String> = (1..=10_u8).map(|last| format!("10.1.0.{last}:80")).collect();
        let rows: Vec<FlowRow> = (1..)
            .zip(&names)
            .flat_map(|(count, name)| vec![flow(None, "10.96.0.10:80", name, "connected"); count])
            .collect();
        let picture = Picture::of(&rows);
        assert_eq!(picture.backends.len(), MOST);
        assert_eq!((&picture.backends[0], &picture.backends[7]), (&place("10.1.0.10:80", 10), &place("3 more", 6)));
        assert_eq!(picture.deliveries.iter().map(|link| link.flows).sum::<u64>(), 55);
    }
}
