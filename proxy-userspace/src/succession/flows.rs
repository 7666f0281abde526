//! Copies flows to the new set's tables in three steps. Before the hooks get their new programs, (1) assured flows are copied to
//! where the programs would put them, and (2) the keys of all other flows are reserved. When all hooks have new programs, (3) the
//! flows that only the old tables have are added.

use std::io;

use proxy_common::{ConntrackEntry, EntryMeta, Tuple};

use super::{
    map_copy::{MapCopy, Refused},
    migration::{ASSURED, EMBRYONIC},
};
use crate::{
    maps::{
        MapsError,
        flow_table::{FlowMapNames, FlowTable},
    },
    node::jiffies,
};

/// Why flows can't be copied.
#[derive(Debug, thiserror::Error)]
pub enum FlowsError {
    /// A table can't be opened.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// The time in jiffies can't be read.
    #[error("read the kernel's tick")]
    Clock(#[from] io::Error),
}

/// The flow tables of one set of programs.
struct Tables {
    assured: FlowTable,
    embryonic: FlowTable,
}

impl Tables {
    fn open(folder: &crate::maps::PinFolder) -> Result<Self, MapsError> {
        Ok(Self {
            assured: FlowTable::open(folder, FlowMapNames::ASSURED)?,
            embryonic: FlowTable::open(folder, FlowMapNames::EMBRYONIC)?,
        })
    }
}

/// Fills tables that no program uses yet. Flows that are not assured are left out: every hook must see each of their
/// steps, so they stay with the old programs until all hooks have new ones.
pub(super) fn fill(maps: &MapCopy<'_>) -> Result<Refused, FlowsError> {
    each(maps, |new, is_assured, tuple, flow, _| !is_assured || new.assured.put(tuple, flow).is_ok())
}

/// Reserves the reply keys of all flows that the new programs do not know yet, so that they use none of these keys for another
/// flow. No program of the new set may have opened a flow yet.
pub(super) fn reserve(maps: &MapCopy<'_>) -> Result<(), FlowsError> {
    let reserved = each(maps, |new, is_assured, tuple, flow, now| {
        let is_reply = flow.meta.flags & EntryMeta::REPLY != 0;
        if is_reply && !(is_assured && new.assured.holds(tuple, now).unwrap_or(false)) {
            // An error is fine: the iteration may return an entry again whose key has just been reserved.
            let _ = new.embryonic.reserve(tuple, flow);
        }
        true
    });
    reserved.map(drop)
}

/// Adds the flows that are missing. Flows that are alive in the new tables stay as they are there.
pub(super) fn catch_up(maps: &MapCopy<'_>) -> Result<Refused, FlowsError> {
    each(maps, |new, is_assured, tuple, flow, now| {
        if is_assured {
            // A new flow may have claimed the key since, and keeps it. Programs first claim a key and then look for an assured
            // flow under it; this code first inserts and then looks for a claim. In whichever order they run, at least one of
            // the two sees the other.
            let is_claimed = |new: &Tables| new.embryonic.holds(tuple, now).unwrap_or(false);
            if is_claimed(new) {
                return true;
            }
            let is_entered = new.assured.follow(tuple, flow, now).is_ok();
            if is_entered && is_claimed(new) {
                new.assured.withdraw(tuple);
            }
            return is_entered;
        }
        new.assured.holds(tuple, now).unwrap_or(false) || new.embryonic.follow(tuple, flow, now).is_ok()
    })
}

/// Calls `enter` for each flow of the old tables that has not expired, embryonic ones first: a flow that becomes assured during
/// the iteration is inserted into the assured table before it leaves EMBRYONIC, so this order misses none. `enter` gets the new
/// tables, whether the flow is assured, its tuple, its entry, and the time in jiffies. It returns false if the flow did not fit.
fn each(
    maps: &MapCopy<'_>,
    mut enter: impl FnMut(&mut Tables, bool, &Tuple, &ConntrackEntry, u32) -> bool,
) -> Result<Refused, FlowsError> {
    let (embryonic, assured) = (maps.is_copied(EMBRYONIC[0]), maps.is_copied(ASSURED[0]));
    if !embryonic && !assured {
        return Ok(Refused::new());
    }
    let (old, mut new) = (Tables::open(maps.old)?, Tables::open(maps.new)?);
    let now = jiffies::now()?;
    let mut refused = Refused::new();
    for (name, table, is_assured, is_wanted) in
        [("EMBRYONIC", &old.embryonic, false, embryonic), ("CONNTRACK", &old.assured, true, assured)]
    {
        if !is_wanted {
            continue;
        }
        // The kernel restarts an iteration when a program has deleted the key to continue from; `take` bounds it.
        let entries = table.entries().take(table.capacity()).flatten();
        let living = entries.filter(|(_, flow)| !flow.meta.is_expired(now));
        let (mut entered, mut lost) = (0, 0);
        for (tuple, flow) in living {
            let is_entered = enter(&mut new, is_assured, &tuple, &flow, now);
            (entered, lost) = (entered + usize::from(is_entered), lost + usize::from(!is_entered));
        }
        // A full table evicts the flows that have been idle for longest.
        let room = if is_assured { new.assured.capacity() } else { new.embryonic.capacity() };
        lost += entered.saturating_sub(room);
        refused.extend((lost != 0).then_some((name, lost)));
    }
    Ok(refused)
}
