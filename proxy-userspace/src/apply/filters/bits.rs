//! Counts the reasons for the bits of a filter. Pure except for the array that its methods take.
//!
//! A bit is set with its first reason. When the last reason has gone, the bit stays, since existing flows may still need it:
//! the entry is stale until [`Bits::clear`] learns what flows need.

use std::collections::{BTreeSet, HashMap};

use proxy_common::filter::FILTER_LENGTH;

use crate::maps::store::Elements;

/// The entries that a reason concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Span {
    /// The entries with these indices.
    Entries(Vec<u16>),
    /// All entries: listing the right ones would cost more than a needless lookup now and then.
    Everywhere,
}

/// The reasons for one filter's bits.
#[derive(Debug, Default)]
pub(super) struct Bits {
    /// Numbers of reasons by entry and bit.
    counts: HashMap<(u16, u8), u32>,
    /// Numbers of reasons that concern all entries, by bit.
    everywhere: HashMap<u8, u32>,
    /// Entries that may have bits without a reason.
    stale: BTreeSet<u16>,
}

impl Bits {
    /// Takes over a filter that an earlier agent has written. Entries with bits of `mask` are stale: they have no reasons yet.
    pub(super) fn adopt(array: &impl Elements<u8>, mask: u8) -> Self {
        let stale = entries().filter(|entry| array.get((*entry).into()).is_some_and(|bits| bits & mask != 0));
        Self { stale: stale.collect(), ..Self::default() }
    }

    /// Adds a reason for `bit`, and sets the bit if it is the first.
    pub(super) fn put(&mut self, array: &mut impl Elements<u8>, span: &Span, bit: u8) {
        let mut set = |entry: u16| {
            let before = array.get(entry.into()).unwrap_or(0);
            array.set(entry.into(), before | bit);
        };
        match span {
            Span::Everywhere => {
                let count = self.everywhere.entry(bit).or_default();
                *count += 1;
                if *count == 1 {
                    entries().for_each(set);
                }
            }
            Span::Entries(entries) => {
                for entry in entries {
                    let count = self.counts.entry((*entry, bit)).or_default();
                    *count += 1;
                    if *count == 1 {
                        set(*entry);
                    }
                }
            }
        }
    }

    /// Removes a reason for `bit`. Clears no bit: entries that lose their last reason become stale.
    pub(super) fn remove(&mut self, span: &Span, bit: u8) {
        match span {
            Span::Everywhere => {
                if take(&mut self.everywhere, &bit) {
                    self.stale.extend(entries());
                }
            }
            Span::Entries(entries) => {
                let gone = entries.iter().filter(|entry| take(&mut self.counts, &(**entry, bit)));
                self.stale.extend(gone);
            }
        }
    }

    /// Takes out the entries that may have bits without a reason.
    pub(super) fn take_stale(&mut self) -> BTreeSet<u16> {
        std::mem::take(&mut self.stale)
    }

    /// Whether there are entries that may have bits without a reason.
    pub(super) fn has_stale(&self) -> bool {
        !self.stale.is_empty()
    }

    /// Clears the bits without a reason in those of `entries` that no flow needs; the others stay stale. `bits` are the bits
    /// that are counted: all others are left alone. Entries that became stale after [`Bits::take_stale`] wait for the next call.
    pub(super) fn clear(
        &mut self,
        array: &mut impl Elements<u8>,
        entries: BTreeSet<u16>,
        bits: &[u8],
        is_needed: impl Fn(u16) -> bool,
    ) {
        for entry in entries {
            if is_needed(entry) {
                self.stale.insert(entry);
            } else if !self.stale.contains(&entry) {
                let without_reason = bits.iter().filter(|bit| !self.has(entry, **bit)).fold(0, |all, bit| all | bit);
                let before = array.get(entry.into()).unwrap_or(0);
                array.set(entry.into(), before & !without_reason);
            }
        }
    }

    /// Whether there is a reason for `bit` in `entry`.
    pub(super) fn has(&self, entry: u16, bit: u8) -> bool {
        self.counts.contains_key(&(entry, bit)) || self.everywhere.contains_key(&bit)
    }
}

/// Returns the indices of all entries.
pub(super) fn entries() -> impl Iterator<Item = u16> {
    const { assert!(FILTER_LENGTH == 1 << 16, "an entry is a u16") };
    0..=u16::MAX
}

/// Decrements a count. Returns true if it was the last.
fn take<K: Eq + std::hash::Hash>(counts: &mut HashMap<K, u32>, key: &K) -> bool {
    let Some(count) = counts.get_mut(key) else { return false };
    *count -= 1;
    let is_last = *count == 0;
    if is_last {
        counts.remove(key);
    }
    is_last
}
