//! Decides how each pinned map that a start finds is migrated. Pure: only the layouts decide.

use std::collections::BTreeMap;

use crate::maps::Layout;

/// How a map is migrated to a new set of programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migration {
    /// The map is created: there was none, or each set of programs has its own ([`OWN`]).
    New,
    /// Old and new programs share the map.
    Shared,
    /// The map is created, and the content of the old one is copied.
    Copied,
    /// The map is created. The old one has another layout, so its content is discarded.
    Discarded,
}

/// Migrations by map name.
pub type Migrations = BTreeMap<&'static str, Migration>;

/// Maps of which each set of programs has its own. SCRATCH is none of them: hooks get their programs one after the other, so a note
/// of one set's TC program on ingress is for the other set's program on egress.
pub const OWN: [&str; 6] = ["REJECTS", "XDP_STAGES", "TC_STAGES", "ABI", "SUCCESSION", "LAYOUTS"];

/// Ids of services and backends, and their generations. Without all three of them no id is known.
pub const IDS: [&str; 3] = ["SERVICE_NAMES", "BACKENDS", "GENERATIONS"];
/// Counters that are indexed by ids.
const COUNTED: [&str; 2] = ["SERVICE_COUNTERS", "BACKEND_COUNTERS"];

/// The configuration in force. Its parts refer to one another, so either all are shared or none is.
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
/// Assured flows. Whether a flow has a bucket decides whether programs look for it in CONNTRACK, so the maps belong
/// together.
pub const ASSURED: [&str; 5] =
    ["FLOW_BUCKETS_IPV4", "FLOW_BUCKETS_IPV6", "OVERFLOW", "CONNTRACK_IPV4", "CONNTRACK_IPV6"];
/// Embryonic flows.
pub const EMBRYONIC: [&str; 2] = ["EMBRYONIC_IPV4", "EMBRYONIC_IPV6"];

/// Decides for the `wanted` maps, given those that were `found`.
pub fn migrations(wanted: &[Layout], found: &BTreeMap<&'static str, Layout>) -> Migrations {
    let mut migrations: Migrations =
        wanted.iter().map(|layout| (layout.name, migration(layout, found.get(layout.name)))).collect();
    share_together(&mut migrations, &CONFIGURATION);
    share_flows_together(&mut migrations);
    discard_together(&mut migrations, &ASSURED, &ASSURED);
    discard_together(&mut migrations, &EMBRYONIC, &EMBRYONIC);
    discard_together(&mut migrations, &IDS, &[&IDS[..], &COUNTED].concat());
    migrations
}

/// Decides for a set that differs from the `found` one in sizes only, and has the same ids and the same configuration. So each map
/// of the configuration can be shared by itself.
pub fn growths(wanted: &[Layout], found: &BTreeMap<&'static str, Layout>) -> Migrations {
    let mut migrations: Migrations =
        wanted.iter().map(|layout| (layout.name, migration(layout, found.get(layout.name)))).collect();
    share_flows_together(&mut migrations);
    migrations
}

fn share_flows_together(migrations: &mut Migrations) {
    share_together(migrations, &ASSURED);
    share_together(migrations, &EMBRYONIC);
    // A flow that becomes assured moves from EMBRYONIC to the assured table. If the sets of programs share the former,
    // they must share the latter, too.
    if ASSURED.iter().any(|name| migrations.get(name) != Some(&Migration::Shared)) {
        replace(migrations, &EMBRYONIC, Migration::Shared, Migration::Copied);
    }
}

/// Shares all maps of a group or none.
fn share_together(migrations: &mut Migrations, group: &[&str]) {
    if group.iter().any(|name| migrations.get(name) != Some(&Migration::Shared)) {
        replace(migrations, group, Migration::Shared, Migration::Copied);
    }
}

fn migration(wanted: &Layout, found: Option<&Layout>) -> Migration {
    let Some(found) = found.filter(|_| !OWN.contains(&wanted.name)) else { return Migration::New };
    if found == wanted {
        Migration::Shared
    } else if *found == (Layout { max_entries: found.max_entries, ..*wanted }) {
        Migration::Copied
    } else {
        Migration::Discarded
    }
}

/// Discards the maps in `by` if one of those in `needed` is discarded.
fn discard_together(migrations: &mut Migrations, needed: &[&str], by: &[&str]) {
    if needed.iter().any(|name| migrations.get(name) == Some(&Migration::Discarded)) {
        replace(migrations, by, Migration::Copied, Migration::Discarded);
        replace(migrations, by, Migration::Shared, Migration::Discarded);
    }
}

fn replace(migrations: &mut Migrations, group: &[&str], old: Migration, new: Migration) {
    migrations
        .iter_mut()
        .filter(|(name, migration)| group.contains(name) && **migration == old)
        .for_each(|(_, migration)| *migration = new);
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::{commands::cli::SizeArgs, maps::layouts};

    #[derive(clap::Parser)]
    struct Sizes {
        #[command(flatten)]
        sizes: SizeArgs,
    }

    fn wanted(flags: &[&str]) -> Vec<Layout> {
        layouts(&Sizes::parse_from([&["sizes"], flags].concat()).sizes.into(), 2)
    }

    /// Returns the migrations after `change` of the found layouts, without shared maps and those in [`OWN`].
    fn changed(flags: &[&str], change: impl Fn(&mut Layout)) -> Vec<(&'static str, Migration)> {
        let mut found: BTreeMap<_, _> = wanted(&[]).into_iter().map(|layout| (layout.name, layout)).collect();
        found.values_mut().for_each(change);
        let migrations = migrations(&wanted(flags), &found);
        let is_own = |name| OWN.contains(&name);
        assert!(OWN.iter().all(|name| migrations[name] == Migration::New));
        migrations.into_iter().filter(|(name, migration)| !is_own(*name) && *migration != Migration::Shared).collect()
    }

    fn all(names: &[&'static str], migration: Migration) -> Vec<(&'static str, Migration)> {
        let mut all: Vec<_> = names.iter().map(|name| (*name, migration)).collect();
        all.sort_by_key(|(name, _)| *name);
        all
    }

    #[test]
    fn w01_a_restart_with_the_same_flags_shares_all_maps() {
        assert_eq!(changed(&[], |_| {}), []);
        assert!(migrations(&wanted(&[]), &BTreeMap::new()).values().all(|migration| *migration == Migration::New));
    }

    #[test]
    fn w01_another_size_rebuilds_only_what_depends_on_it() {
        let flows = [&ASSURED[..], &EMBRYONIC].concat();
        assert_eq!(changed(&["--max-conntrack", "1000"], |_| {}), all(&flows, Migration::Copied));
        assert_eq!(changed(&["--max-embryonic", "1000"], |_| {}), all(&EMBRYONIC, Migration::Copied));
        assert_eq!(changed(&["--max-affinity", "1000"], |_| {}), [("AFFINITY", Migration::Copied)]);
        let with_counters = [&CONFIGURATION[..], &["BACKEND_COUNTERS"]].concat();
        assert_eq!(changed(&["--max-backends", "1000"], |_| {}), all(&with_counters, Migration::Copied));
    }

    #[test]
    fn a_growth_copies_the_maps_that_grow_and_shares_the_rest() {
        let found: BTreeMap<_, _> = wanted(&[]).into_iter().map(|layout| (layout.name, layout)).collect();
        let grown = |flags: &[&str]| {
            let growths = growths(&wanted(flags), &found).into_iter();
            growths.filter(|(_, migration)| *migration == Migration::Copied).map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(grown(&[]), [""; 0]);
        assert_eq!(grown(&["--max-services", "70000"]), ["SERVICES"]);
        assert_eq!(grown(&["--max-backends", "300000"]), ["BACKENDS", "BACKEND_COUNTERS"]);
        let by_id = ["GENERATIONS", "MONITORED_SERVICES", "SERVICE_COUNTERS", "SERVICE_NAMES"];
        assert_eq!(grown(&["--max-service-ports", "40000"]), by_id);
        let flows = [&ASSURED[..], &EMBRYONIC].concat();
        assert_eq!(grown(&["--max-conntrack", "300000"]).len(), flows.len());
    }

    #[test]
    fn w01_more_counters_than_before_are_no_other_layout() {
        let fewer =
            |layout: &mut Layout| layout.max_entries = if layout.name == "COUNTERS" { 27 } else { layout.max_entries };
        assert_eq!(changed(&[], fewer), [("COUNTERS", Migration::Copied)]);
    }

    #[test]
    fn w01_what_another_version_wrote_is_never_read() {
        let other = |name: &'static str| move |layout: &mut Layout| layout.since += u32::from(layout.name == name);
        assert_eq!(changed(&[], other("AFFINITY")), [("AFFINITY", Migration::Discarded)]);
        let mut flows = [all(&ASSURED, Migration::Discarded), all(&EMBRYONIC, Migration::Copied)].concat();
        flows.sort_by_key(|(name, _)| *name);
        assert_eq!(changed(&[], other("CONNTRACK_IPV6")), flows);
        let without_ids = changed(&[], other("BACKENDS"));
        for name in IDS.iter().chain(&COUNTED) {
            assert!(without_ids.contains(&(name, Migration::Discarded)), "{name}");
        }
        assert!(without_ids.contains(&("MEMBERS", Migration::Copied)));
        let larger = |layout: &mut Layout| layout.value_size += 8 * u32::from(layout.name == "EMBRYONIC_IPV4");
        assert_eq!(changed(&[], larger), all(&EMBRYONIC, Migration::Discarded));
    }
}
