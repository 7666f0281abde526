//! `waggle get maps`: one row for each pinned map, and how full it is.

use std::collections::BTreeMap;

use aya::maps::{LpmTrie, MapData};
use proxy_common::{Address, MAPS, MapKind, MapSpec, Network};
use serde::Serialize;

use super::{InspectError, Snapshot, output::Row, snapshot::open};
use crate::{
    maps::{PinFolder, census::Census, open_data_read_only, open_read_only},
    node::bpf,
};

/// A map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MapRow {
    /// The map's name in the eBPF object. Its pin has this name in lower case.
    pub name: &'static str,
    /// The map's type, in the words of `bpftool map`.
    pub r#type: &'static str,
    /// How many entries it has; `None` for maps with a fixed set of entries.
    pub entries: Option<u64>,
    /// The most entries that it has room for now; `None` for socket storage and the ring buffer.
    pub capacity: Option<u32>,
    /// Bytes of a key.
    pub key_bytes: u32,
    /// Bytes of a value.
    pub value_bytes: u32,
    /// The layout version since which keys and values have been as they are.
    pub layout: u32,
}

/// How full the maps of an instance are, by their names.
#[derive(Clone, Debug, Default)]
pub struct Fill {
    entries: BTreeMap<&'static str, u64>,
    capacities: BTreeMap<&'static str, u32>,
}

impl Fill {
    /// Counts the entries of all maps of an instance.
    pub fn read(instance: &str) -> Result<Self, InspectError> {
        let folder = open(instance)?;
        let snapshot = Snapshot::read(instance)?;
        let Census { capacities, entries, .. } = Census::take(&folder)?;
        let mut fill = Self { entries: entries.into_iter().collect(), capacities: capacities.into_iter().collect() };
        let networks: LpmTrie<MapData, Address, Network> = open_read_only(&folder, "NETWORKS")?;
        fill.entries.extend([
            ("SERVICES", snapshot.services.len() as u64),
            ("SLOTS", snapshot.slots.len() as u64),
            ("BACKENDS", snapshot.backends.len() as u64),
            ("SERVICE_NAMES", snapshot.names.len() as u64),
            ("SOURCE_RANGES", snapshot.sources.values().map(|nets| nets.len() as u64).sum()),
            ("NETWORKS", networks.keys().flatten().count() as u64),
            ("MEMBERS", count(&folder, "MEMBERS")?),
            ("BACKEND_COUNTERS", count(&folder, "BACKEND_COUNTERS")?),
            ("LAYOUTS", count(&folder, "LAYOUTS")?),
        ]);
        Ok(fill)
    }
}

/// Counts the entries of a hash.
fn count(folder: &PinFolder, name: &'static str) -> Result<u64, InspectError> {
    let mut count = 0;
    let counted = bpf::each_entry(&open_data_read_only(folder, name)?, |_, _| count += 1);
    counted.map_err(|source| InspectError::Read { name, source })?;
    Ok(count)
}

/// Returns all maps by name. Pure.
pub fn maps(fill: &Fill) -> Vec<MapRow> {
    let mut rows: Vec<MapRow> = MAPS.iter().map(|map| row(map, fill)).collect();
    rows.sort_by_key(|row| row.name);
    rows
}

fn row(map: &MapSpec, fill: &Fill) -> MapRow {
    MapRow {
        name: map.name,
        r#type: kind(map.kind),
        entries: fill.entries.get(map.name).copied(),
        capacity: fill.capacities.get(map.name).copied(),
        key_bytes: map.key_size,
        value_bytes: map.value_size,
        layout: map.since,
    }
}

const fn kind(kind: MapKind) -> &'static str {
    match kind {
        MapKind::Array | MapKind::MappedArray => "array",
        MapKind::PerCpuArray => "percpu_array",
        MapKind::Hash | MapKind::SparseHash => "hash",
        MapKind::LruHash => "lru_hash",
        MapKind::LpmTrie => "lpm_trie",
        MapKind::SkStorage => "sk_storage",
        MapKind::ProgramArray => "prog_array",
        MapKind::RingBuf => "ringbuf",
    }
}

impl Row for MapRow {
    type Key = &'static str;

    const KIND: &'static str = "maps";
    const WIDE: &'static [&'static str] = &["KEY", "VALUE", "LAYOUT"];
    const NUMBERS: &'static [&'static str] = &["entries", "capacity", "keyBytes", "valueBytes", "layout"];

    fn titles() -> Vec<&'static str> {
        vec!["NAME", "TYPE", "ENTRIES", "CAPACITY", "FULL"]
    }

    fn fields() -> Vec<&'static str> {
        vec!["name", "type", "entries", "capacity", "keyBytes", "valueBytes", "layout"]
    }

    fn key(&self) -> Self::Key {
        self.name
    }

    fn cells(&self) -> Vec<String> {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let full =
            self.entries.zip(self.capacity).map(|(entries, capacity)| entries * 100 / u64::from(capacity.max(1)));
        vec![
            self.name.to_owned(),
            self.r#type.to_owned(),
            or_dash(self.entries.map(|entries| entries.to_string())),
            or_dash(self.capacity.map(|capacity| capacity.to_string())),
            or_dash(full.map(|percent| format!("{percent}%"))),
        ]
    }

    fn wide_cells(&self) -> Vec<String> {
        [self.key_bytes, self.value_bytes, self.layout].map(|number| number.to_string()).into()
    }

    /// A name is that of the map or of its pin.
    fn is_named(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::get::{Look, table};

    #[test]
    fn maps_say_how_full_they_are() {
        let fill = Fill {
            entries: [("AFFINITY", 150), ("SERVICES", 8)].into(),
            capacities: [("AFFINITY", 200), ("SERVICES", 1024), ("COUNTERS", 27)].into(),
        };
        let rows = maps(&fill);
        assert_eq!(rows.len(), MAPS.len());
        let wanted = ["affinity", "counters", "SERVICES", "socket_peers"];
        let shown: Vec<_> = rows.iter().filter(|row| wanted.iter().any(|name| row.is_named(name))).collect();
        let expected = "\
NAME           TYPE           ENTRIES   CAPACITY   FULL   KEY   VALUE   LAYOUT
AFFINITY       lru_hash       150       200        75%    24    24      7
COUNTERS       percpu_array   -         27         -      4     8       7
SERVICES       hash           8         1024       0%     20    28      7
SOCKET_PEERS   sk_storage     -         -          -      4     72      7
";
        assert_eq!(table(shown, Look { is_wide: true, ..Look::default() }), expected);
    }
}
