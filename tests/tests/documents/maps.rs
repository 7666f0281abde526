//! The table of maps in docs/ARCHITECTURE.md.

use proxy_common::{MAPS, MapKind, MapSpec, Writer};

use super::read;

/// How the documents call a type of map.
const fn kind(kind: MapKind) -> &'static str {
    match kind {
        MapKind::Array => "array",
        MapKind::MappedArray => "array, mapped",
        MapKind::PerCpuArray => "per-CPU array",
        MapKind::Hash | MapKind::SparseHash => "hash",
        MapKind::LruHash => "LRU hash",
        MapKind::LpmTrie => "LPM trie",
        MapKind::SkStorage => "socket storage",
        MapKind::ProgramArray => "program array",
        MapKind::RingBuf => "ring buffer",
    }
}

/// How the documents call those who write a map.
const fn writer(writer: Writer) -> &'static str {
    match writer {
        Writer::Agent => "agent",
        Writer::Programs => "programs",
        Writer::Monitor => "`waggle monitor`",
    }
}

#[test]
fn the_maps_in_the_architecture_are_the_maps() {
    let text = read("docs/ARCHITECTURE.md");
    let rows = text.lines().skip_while(|line| !line.starts_with("| map | type |")).skip(2);
    let mut shown = Vec::new();
    for line in rows.take_while(|line| line.starts_with('|')) {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let size = cells[5].split(|end: char| end != ',' && !end.is_ascii_digit()).next().unwrap().replace(',', "");
        shown.extend(cells[1].split(", ").map(|name| (name, cells[2].to_owned(), cells[4].to_owned(), size.clone())));
    }
    shown.sort();
    let size = |map: &MapSpec| if map.default_entries == 0 { String::new() } else { map.default_entries.to_string() };
    let row = |map: &MapSpec| (map.name, kind(map.kind).to_owned(), writer(map.writer).to_owned(), size(map));
    let mut maps: Vec<_> = MAPS.iter().map(row).collect();
    maps.sort();
    assert_eq!(shown, maps);
}
