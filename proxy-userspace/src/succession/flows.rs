//! Carries flows over: first into tables that no program uses yet, each flow where the programs would have it; then the keys of
//! those that the new programs are not to know yet; then, when programs of both sets have been at work, those that only
//! the old tables have.

use std::io;

use proxy_common::{ConntrackEntry, EntryMeta, Tuple};

use super::{
    carry::{Carry, Refused},
    fate::{ASSURED, EMBRYONIC},
};
use crate::{
    maps::{
        MapsError,
        flow_table::{FlowTable, Names},
    },
    node::jiffies,
};

/// Why flows can't be carried over.
#[derive(Debug, thiserror::Error)]
pub enum FlowsError {
    /// A table can't be opened.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// The clock can't be read.
    #[error("read the kernel's tick: {0}")]
    Clock(#[from] io::Error),
}

/// The tables of one start.
struct Tables {
    assured: FlowTable,
    embryonic: FlowTable,
}

impl Tables {
    fn open(folder: &crate::maps::PinFolder) -> Result<Self, MapsError> {
        Ok(Self {
            assured: FlowTable::open(folder, Names::ASSURED)?,
            embryonic: FlowTable::open(folder, Names::EMBRYONIC)?,
        })
    }
}

/// Fills tables that nobody uses yet. Of flows that are not assured, each step must be seen by all hooks: they stay with
/// the old programs until those of all hooks are new.
pub(super) fn fill(carry: &Carry<'_>) -> Result<Refused, FlowsError> {
    each(carry, |new, is_assured, tuple, flow, _| !is_assured || new.assured.put(tuple, flow).is_ok())
}

/// Takes the keys of the backends' replies in all flows that the new programs do not know yet, so that they give none of
/// them to another flow. No program of the new set has opened one.
pub(super) fn reserve(carry: &Carry<'_>) -> Result<(), FlowsError> {
    let reserved = each(carry, |new, is_assured, tuple, flow, now| {
        let is_reply = flow.meta.flags & EntryMeta::REPLY != 0;
        if is_reply && !(is_assured && new.assured.holds(tuple, now).unwrap_or(false)) {
            // One that has just been reserved may come again.
            let _ = new.embryonic.reserve(tuple, flow);
        }
        true
    });
    reserved.map(drop)
}

/// Adds what is missing. What lives in the new tables stays as it is there.
pub(super) fn catch_up(carry: &Carry<'_>) -> Result<Refused, FlowsError> {
    each(carry, |new, is_assured, tuple, flow, now| {
        if is_assured {
            // A key that a new flow has claimed meanwhile is that one's: it looks for the key's last owner afterwards, and so
            // do we.
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

/// Enters each living flow of the old tables. One that becomes assured meanwhile is entered there before it leaves EMBRYONIC: read
/// in this order, none is missed.
fn each(
    carry: &Carry<'_>,
    mut enter: impl FnMut(&mut Tables, bool, &Tuple, &ConntrackEntry, u32) -> bool,
) -> Result<Refused, FlowsError> {
    let (embryonic, assured) = (carry.is_carried(EMBRYONIC[0]), carry.is_carried(ASSURED[0]));
    if !embryonic && !assured {
        return Ok(Refused::new());
    }
    let (old, mut new) = (Tables::open(carry.old)?, Tables::open(carry.new)?);
    let now = jiffies::now()?;
    let mut refused = Refused::new();
    for (name, table, is_assured, is_wanted) in
        [("EMBRYONIC", &old.embryonic, false, embryonic), ("CONNTRACK", &old.assured, true, assured)]
    {
        if !is_wanted {
            continue;
        }
        // Where programs remove the key to go on from, the kernel begins anew.
        let entries = table.entries().take(table.capacity()).flatten();
        let living = entries.filter(|(_, flow)| !flow.meta.is_expired(now));
        let (mut entered, mut lost) = (0, 0);
        for (tuple, flow) in living {
            let is_entered = enter(&mut new, is_assured, &tuple, &flow, now);
            (entered, lost) = (entered + usize::from(is_entered), lost + usize::from(!is_entered));
        }
        // A full table forgets who has been idle for longest.
        let room = if is_assured { new.assured.capacity() } else { new.embryonic.capacity() };
        lost += entered.saturating_sub(room);
        refused.extend((lost != 0).then_some((name, lost)));
    }
    Ok(refused)
}
