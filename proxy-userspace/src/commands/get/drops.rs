//! `waggle get drops`: one row for each reason to refuse a packet or a call, and how often it was refused.

use std::collections::BTreeMap;

use aya::maps::{MapData, PerCpuArray};
use proxy_common::{Counter, Outcome};
use serde::Serialize;

use super::{InspectError, output::Row, snapshot::open};
use crate::maps::open_read_only;

/// A reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DropRow {
    /// `reject` if the client sees the refusal at once, `drop` if it does not, or sees the destination as unreachable.
    pub verdict: &'static str,
    /// The reason, as in the metrics `waggle_rejected` and `waggle_dropped`.
    pub reason: &'static str,
    /// How many packets and calls were refused for it since the maps were made.
    pub count: u64,
    /// The reason in words.
    pub meaning: &'static str,
}

/// Reads COUNTERS of an instance, summed over the CPUs.
pub fn read_counters(instance: &str) -> Result<BTreeMap<Counter, u64>, InspectError> {
    let map: PerCpuArray<MapData, u64> = open_read_only(&open(instance)?, "COUNTERS")?;
    let read = |counter| {
        let values = map.get(&(counter as u32), 0);
        let values = values.map_err(|source| InspectError::Read { name: "COUNTERS", source })?;
        Ok((counter, values.iter().sum()))
    };
    Counter::ALL.into_iter().map(read).collect()
}

/// Returns all reasons, those to reject first, by their numbers. Pure.
pub fn drops(counters: &BTreeMap<Counter, u64>) -> Vec<DropRow> {
    let of = |verdict, wanted| {
        let counters = counters.iter().map(|(counter, count)| (*counter, counter.label(), *count));
        let counters = counters.filter(move |(_, (outcome, _), _)| *outcome == wanted);
        counters.map(move |(counter, (_, reason), count)| DropRow {
            verdict,
            reason,
            count,
            meaning: counter.meaning(),
        })
    };
    of("reject", Outcome::Rejected).chain(of("drop", Outcome::Dropped)).collect()
}

impl Row for DropRow {
    type Key = (&'static str, &'static str);

    const KIND: &'static str = "drops";
    const WIDE: &'static [&'static str] = &["MEANING"];
    const NUMBERS: &'static [&'static str] = &["count"];

    fn titles() -> Vec<&'static str> {
        vec!["VERDICT", "REASON", "COUNT"]
    }

    fn fields() -> Vec<&'static str> {
        vec!["verdict", "reason", "count", "meaning"]
    }

    fn key(&self) -> Self::Key {
        (self.verdict, self.reason)
    }

    fn cells(&self) -> Vec<String> {
        vec![self.verdict.to_owned(), self.reason.to_owned(), self.count.to_string()]
    }

    fn wide_cells(&self) -> Vec<String> {
        vec![self.meaning.to_owned()]
    }

    fn is_named(&self, name: &str) -> bool {
        self.reason == name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::get::{Look, table};

    #[test]
    fn drops_are_reasons_to_refuse_and_nothing_else() {
        let counters = [
            (Counter::SocketTranslated, 9),
            (Counter::RejectUnservedPort, 2),
            (Counter::DropNoRoute, 3),
            (Counter::RejectUnknownConnection, 0),
        ];
        let expected = "\
VERDICT   REASON               COUNT   MEANING
reject    unserved_port        2       A port that the Service's address does not serve (S20)
reject    unknown_connection   0       A TCP packet in the middle of an unknown connection
drop      no_route             3       The routing table refuses the destination
";
        assert_eq!(table(&drops(&counters.into()), Look { is_wide: true, ..Look::default() }), expected);
    }
}
