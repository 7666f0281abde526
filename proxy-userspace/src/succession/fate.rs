//! What becomes of each pinned map when a start finds it: pure, and told by layouts alone.

use std::collections::BTreeMap;

use crate::maps::Layout;

/// What becomes of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is made, and there was none; or each set of programs has its own.
    New,
    /// Old and new programs use the same.
    Shared,
    /// It is made anew, and what the old one holds is carried over.
    Carried,
    /// It is made anew, and what the old one holds means something else now.
    Lost,
}

/// Fates by name.
pub type Fates = BTreeMap<&'static str, Fate>;

/// Each set of programs has its own.
pub const OWN: [&str; 7] = ["SCRATCH", "REJECTS", "XDP_STAGES", "TC_STAGES", "ABI", "SUCCESSION", "LAYOUTS"];

/// The ids of services and backends, and when they were given. Without them nothing is known of any.
pub const IDS: [&str; 3] = ["SERVICE_NAMES", "BACKENDS", "GENERATIONS"];
/// What counts by ids.
const COUNTED: [&str; 2] = ["SERVICE_COUNTERS", "BACKEND_COUNTERS"];

/// What is in force: its parts refer to one another, so that either all are shared or none is.
const CONFIGURATION: [&str; 11] = [
    "SERVICES",
    "SLOTS",
    "BACKENDS",
    "GENERATIONS",
    "MEMBERS",
    "NETWORKS",
    "SOURCE_RANGES",
    "ADDRESS_FILTER",
    "PORT_FILTER",
    "NODE_ADDRESSES",
    "SERVICE_NAMES",
];
/// Assured flows: whether one has a bucket decides whether CONNTRACK is asked for it.
pub const ASSURED: [&str; 5] =
    ["FLOW_BUCKETS_IPV4", "FLOW_BUCKETS_IPV6", "OVERFLOW", "CONNTRACK_IPV4", "CONNTRACK_IPV6"];
/// All others.
pub const EMBRYONIC: [&str; 2] = ["EMBRYONIC_IPV4", "EMBRYONIC_IPV6"];

/// Decides for the maps that are wanted, given those that were found.
pub fn fates(wanted: &[Layout], found: &BTreeMap<&'static str, Layout>) -> Fates {
    let mut fates: Fates = wanted.iter().map(|layout| (layout.name, fate(layout, found.get(layout.name)))).collect();
    for group in [&CONFIGURATION[..], &ASSURED, &EMBRYONIC] {
        if group.iter().any(|name| fates.get(name) != Some(&Fate::Shared)) {
            replace(&mut fates, group, Fate::Shared, Fate::Carried);
        }
    }
    // A flow that becomes assured leaves a table that both sets of programs may have only for one that both have.
    if ASSURED.iter().any(|name| fates.get(name) != Some(&Fate::Shared)) {
        replace(&mut fates, &EMBRYONIC, Fate::Shared, Fate::Carried);
    }
    lose_together(&mut fates, &ASSURED, &ASSURED);
    lose_together(&mut fates, &EMBRYONIC, &EMBRYONIC);
    lose_together(&mut fates, &IDS, &[&IDS[..], &COUNTED].concat());
    fates
}

fn fate(wanted: &Layout, found: Option<&Layout>) -> Fate {
    let Some(found) = found.filter(|_| !OWN.contains(&wanted.name)) else { return Fate::New };
    if found == wanted {
        Fate::Shared
    } else if *found == (Layout { max_entries: found.max_entries, ..*wanted }) {
        Fate::Carried
    } else {
        Fate::Lost
    }
}

/// Without one of the first, none of the others is of use.
fn lose_together(fates: &mut Fates, needed: &[&str], by: &[&str]) {
    if needed.iter().any(|name| fates.get(name) == Some(&Fate::Lost)) {
        replace(fates, by, Fate::Carried, Fate::Lost);
        replace(fates, by, Fate::Shared, Fate::Lost);
    }
}

fn replace(fates: &mut Fates, group: &[&str], old: Fate, new: Fate) {
    fates.iter_mut().filter(|(name, fate)| group.contains(name) && **fate == old).for_each(|(_, fate)| *fate = new);
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::{config::MapSizes, maps::layouts};

    #[derive(clap::Parser)]
    struct Sizes {
        #[command(flatten)]
        sizes: MapSizes,
    }

    fn wanted(flags: &[&str]) -> Vec<Layout> {
        layouts(&Sizes::parse_from([&["sizes"], flags].concat()).sizes, 2)
    }

    /// Those that are not shared, nor every set's own, after a change of what is found.
    fn changed(flags: &[&str], change: impl Fn(&mut Layout)) -> Vec<(&'static str, Fate)> {
        let mut found: BTreeMap<_, _> = wanted(&[]).into_iter().map(|layout| (layout.name, layout)).collect();
        found.values_mut().for_each(change);
        let fates = fates(&wanted(flags), &found);
        let is_own = |name| OWN.contains(&name);
        assert!(OWN.iter().all(|name| fates[name] == Fate::New));
        fates.into_iter().filter(|(name, fate)| !is_own(*name) && *fate != Fate::Shared).collect()
    }

    fn all(names: &[&'static str], fate: Fate) -> Vec<(&'static str, Fate)> {
        let mut all: Vec<_> = names.iter().map(|name| (*name, fate)).collect();
        all.sort_by_key(|(name, _)| *name);
        all
    }

    #[test]
    fn w01_a_restart_with_the_same_flags_shares_all_maps() {
        assert_eq!(changed(&[], |_| {}), []);
        assert!(fates(&wanted(&[]), &BTreeMap::new()).values().all(|fate| *fate == Fate::New));
    }

    #[test]
    fn w01_another_size_makes_only_what_depends_on_it_anew() {
        let flows = [&ASSURED[..], &EMBRYONIC].concat();
        assert_eq!(changed(&["--max-conntrack", "1000"], |_| {}), all(&flows, Fate::Carried));
        assert_eq!(changed(&["--max-embryonic", "1000"], |_| {}), all(&EMBRYONIC, Fate::Carried));
        assert_eq!(changed(&["--max-affinity", "1000"], |_| {}), [("AFFINITY", Fate::Carried)]);
        let with_counters = [&CONFIGURATION[..], &["BACKEND_COUNTERS"]].concat();
        assert_eq!(changed(&["--max-backends", "1000"], |_| {}), all(&with_counters, Fate::Carried));
    }

    #[test]
    fn w01_more_counters_than_before_are_no_other_layout() {
        let fewer =
            |layout: &mut Layout| layout.max_entries = if layout.name == "COUNTERS" { 27 } else { layout.max_entries };
        assert_eq!(changed(&[], fewer), [("COUNTERS", Fate::Carried)]);
    }

    #[test]
    fn w01_what_another_version_wrote_is_never_read() {
        let other = |name: &'static str| move |layout: &mut Layout| layout.since += u32::from(layout.name == name);
        assert_eq!(changed(&[], other("AFFINITY")), [("AFFINITY", Fate::Lost)]);
        let mut flows = [all(&ASSURED, Fate::Lost), all(&EMBRYONIC, Fate::Carried)].concat();
        flows.sort_by_key(|(name, _)| *name);
        assert_eq!(changed(&[], other("CONNTRACK_IPV6")), flows);
        let without_ids = changed(&[], other("BACKENDS"));
        for name in IDS.iter().chain(&COUNTED) {
            assert!(without_ids.contains(&(name, Fate::Lost)), "{name}");
        }
        assert!(without_ids.contains(&("MEMBERS", Fate::Carried)));
        let larger = |layout: &mut Layout| layout.value_size += 8 * u32::from(layout.name == "EMBRYONIC_IPV4");
        assert_eq!(changed(&[], larger), all(&EMBRYONIC, Fate::Lost));
    }
}
