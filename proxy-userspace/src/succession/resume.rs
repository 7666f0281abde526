//! What a start finds that another one has left behind when it died.

use std::collections::BTreeMap;

use aya::maps::{Array, MapData, MapInfo};
use proxy_common::Phase;
use tracing::info;

use super::{
    Succession, SuccessionError, discard_incomplete,
    fate::{Fate, Fates, fates},
    find,
    memories::Copied,
    pins,
};
use crate::{
    attach,
    maps::{Layout, PinFolder, open},
};

/// Puts a complete set in place, and throws an incomplete one away.
pub(super) fn clear_up(folder: &PinFolder, known: &[Layout]) -> Result<(), SuccessionError> {
    discard_incomplete(folder)?;
    let new = folder.next();
    if !pins::is_complete(&new) {
        return Ok(());
    }
    info!(folder = %new.maps().display(), "putting in place what an earlier start has completed");
    attach::renew(folder, &pins::programs(&new))?;
    let fates = fates_between(folder, &new, known);
    let is_alone = open::<Array<MapData, u32>>(&new, "SUCCESSION")
        .is_ok_and(|map| map.get(&0, 0).is_ok_and(|phase| phase == Phase::Alone as u32));
    let succession = Succession { old: folder.clone(), new, fates, copied: Copied::new() };
    // What the old set remembers is out of date then.
    if is_alone { succession.leave() } else { succession.finish() }
}

/// What has become of each map, as far as this program knows how to read it. Pins that have been moved already have no
/// counterpart.
fn fates_between(old: &PinFolder, new: &PinFolder, known: &[Layout]) -> Fates {
    let (from, to) = (find(old, known), find(new, known));
    let readable: BTreeMap<_, _> = from.into_iter().filter(|(name, _)| to.contains_key(name)).collect();
    let wanted: Vec<Layout> = to.values().copied().collect();
    let is_known =
        |layout: &Layout| known.iter().any(|known| *layout == Layout { max_entries: layout.max_entries, ..*known });
    let mut fates = fates(&wanted, &readable);
    for layout in &wanted {
        let fate = fates.entry(layout.name).or_insert(Fate::New);
        if is_same(old, new, layout.name) {
            *fate = Fate::Shared;
        } else if *fate == Fate::Shared {
            *fate = Fate::Carried;
        }
        if *fate == Fate::Carried && !is_known(layout) {
            *fate = Fate::Lost;
        }
    }
    fates
}

fn is_same(old: &PinFolder, new: &PinFolder, name: &str) -> bool {
    let id = |folder: &PinFolder| MapInfo::from_pin(folder.map(name)).ok().map(|info| info.id());
    id(old).is_some_and(|old| id(new) == Some(old))
}
