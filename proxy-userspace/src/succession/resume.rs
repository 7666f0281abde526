//! Finishes or removes what an earlier start has left when it died.

use std::{collections::BTreeMap, path::Path};

use aya::maps::{Array, MapData, MapInfo};
use proxy_common::Phase;
use tracing::info;

use super::{
    Succession, SuccessionError,
    client_state::FirstCopy,
    discard_incomplete, find,
    migration::{Migration, Migrations, migrations},
    pins,
};
use crate::{
    attach,
    config::MapSizes,
    maps::{Layout, PinFolder, layouts, open},
};

/// Puts a complete set in place, and discards an incomplete one.
pub(super) fn clear_up(folder: &PinFolder, cgroup: &Path) -> Result<(), SuccessionError> {
    discard_incomplete(folder)?;
    let new = folder.next();
    if !pins::is_complete(&new) {
        return Ok(());
    }
    info!(folder = %new.maps().display(), "putting a set of programs in place that an earlier start completed");
    attach::renew(folder, &new, cgroup)?;
    // The numbers of entries given here do not matter: the real ones are read from the pins.
    let known = layouts(&MapSizes::default(), 1);
    let migrations = migrations_between(folder, &new, &known);
    let is_alone = open::<Array<MapData, u32>>(&new, "SUCCESSION")
        .is_ok_and(|map| map.get(&0, 0).is_ok_and(|phase| phase == Phase::Alone as u32));
    let succession = Succession { old: folder.clone(), new, migrations, copied: FirstCopy::new() };
    // In the last phase the old maps are out of date, so nothing is copied from them.
    if is_alone { succession.detach_previous() } else { succession.finish() }
}

/// Finds out how each map was migrated by the start that died, as far as this release can read the maps. A pin that has been
/// moved already has no counterpart.
fn migrations_between(old: &PinFolder, new: &PinFolder, known: &[Layout]) -> Migrations {
    let (from, to) = (find(old, known), find(new, known));
    let readable: BTreeMap<_, _> = from.into_iter().filter(|(name, _)| to.contains_key(name)).collect();
    let wanted: Vec<Layout> = to.values().copied().collect();
    let is_known =
        |layout: &Layout| known.iter().any(|known| *layout == Layout { max_entries: layout.max_entries, ..*known });
    let mut migrations = migrations(&wanted, &readable);
    for layout in &wanted {
        let migration = migrations.entry(layout.name).or_insert(Migration::New);
        if is_same(old, new, layout.name) {
            *migration = Migration::Shared;
        } else if *migration == Migration::Shared {
            *migration = Migration::Copied;
        }
        if *migration == Migration::Copied && !is_known(layout) {
            *migration = Migration::Discarded;
        }
    }
    migrations
}

fn is_same(old: &PinFolder, new: &PinFolder, name: &str) -> bool {
    let id = |folder: &PinFolder| MapInfo::from_pin(folder.map(name)).ok().map(|info| info.id());
    id(old).is_some_and(|old| id(new) == Some(old))
}
