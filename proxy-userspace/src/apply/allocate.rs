//! Allocators of ids and slots. Pure: they hand out numbers and know nothing of maps.

use std::collections::{BTreeMap, BTreeSet};

use proxy_common::SlotRange;

/// Ids from 1 up to a limit; 0 is never handed out, so that zeroed memory names nothing.
#[derive(Debug)]
pub struct IdPool {
    next: u32,
    limit: u32,
    free: BTreeSet<u32>,
}

impl IdPool {
    /// Returns a pool of the ids below `limit`, all free.
    pub fn new(limit: u32) -> Self {
        Self { next: 1, limit, free: BTreeSet::new() }
    }

    /// Takes the lowest free id; `None` when all are taken.
    pub fn allocate(&mut self) -> Option<u32> {
        if let Some(id) = self.free.pop_first() {
            return Some(id);
        }
        let id = self.next;
        (id < self.limit).then(|| self.next += 1).map(|()| id)
    }

    /// Marks an id as taken that is in use already. Ids at or above the limit are ignored.
    pub fn reserve(&mut self, id: u32) {
        if id >= self.limit {
            return;
        }
        self.free.extend(self.next..id);
        self.free.remove(&id);
        self.next = self.next.max(id + 1);
    }

    /// Raises the limit. A lower one changes nothing.
    pub fn extend(&mut self, limit: u32) {
        self.limit = self.limit.max(limit);
    }

    /// Returns how many ids are not free, including 0, which is never handed out.
    pub fn used(&self) -> u32 {
        self.next - u32::try_from(self.free.len()).unwrap_or(self.next)
    }

    /// Gives an id back.
    pub fn release(&mut self, id: u32) {
        self.free.insert(id);
    }
}

/// Contiguous ranges of SLOTS, allocated first-fit. Adjacent free ranges are merged.
#[derive(Debug)]
pub struct SlotPool {
    /// Lengths of free ranges by offset.
    free: BTreeMap<u32, u32>,
}

impl SlotPool {
    /// Returns a pool of the slots below `limit`, all free.
    pub fn new(limit: u32) -> Self {
        Self { free: BTreeMap::from([(0, limit)]) }
    }

    /// Returns how many slots are free, in all ranges.
    pub fn free(&self) -> u32 {
        self.free.values().sum()
    }

    /// Takes a range of `length` slots; `None` when no free range is long enough. An empty range needs no slots.
    pub fn allocate(&mut self, length: u32) -> Option<SlotRange> {
        if length == 0 {
            return Some(SlotRange::default());
        }
        let (&offset, &found) = self.free.iter().find(|(_, found)| **found >= length)?;
        self.free.remove(&offset);
        if found > length {
            self.free.insert(offset + length, found - length);
        }
        Some(SlotRange { offset, length })
    }

    /// Marks a range as taken that is in use already. It may overlap ranges that are taken.
    pub fn reserve(&mut self, range: SlotRange) {
        if range.length == 0 {
            return;
        }
        let (start, end) = (range.offset, range.offset.saturating_add(range.length));
        let overlapping: Vec<(u32, u32)> = self
            .free
            .range(..end)
            .map(|(&offset, &length)| (offset, offset + length))
            .filter(|&(_, free_end)| free_end > start)
            .collect();
        for (free_start, free_end) in overlapping {
            self.free.remove(&free_start);
            if free_start < start {
                self.free.insert(free_start, start - free_start);
            }
            if free_end > end {
                self.free.insert(end, free_end - end);
            }
        }
    }

    /// Gives a range back.
    pub fn release(&mut self, range: SlotRange) {
        if range.length == 0 {
            return;
        }
        let (mut offset, mut length) = (range.offset, range.length);
        if let Some(after) = self.free.remove(&(offset + length)) {
            length += after;
        }
        if let Some((&before, &before_length)) = self.free.range(..offset).next_back()
            && before + before_length == offset
        {
            offset = before;
            length += before_length;
        }
        self.free.insert(offset, length);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_start_at_one_end_at_the_limit_and_are_used_again() {
        let mut pool = IdPool::new(4);
        assert_eq!(
            [pool.allocate(), pool.allocate(), pool.allocate(), pool.allocate()],
            [Some(1), Some(2), Some(3), None]
        );
        pool.release(2);
        assert_eq!((pool.allocate(), pool.allocate()), (Some(2), None));
    }

    #[test]
    fn a_higher_limit_gives_more_ids_and_what_is_used_is_counted() {
        let mut pool = IdPool::new(2);
        assert_eq!((pool.allocate(), pool.allocate(), pool.used()), (Some(1), None, 2));
        pool.extend(4);
        assert_eq!((pool.allocate(), pool.allocate(), pool.allocate(), pool.used()), (Some(2), Some(3), None, 4));
        pool.release(2);
        assert_eq!(pool.used(), 3);
        let mut slots = SlotPool::new(4);
        assert_eq!((slots.allocate(3), slots.free()), (Some(SlotRange { offset: 0, length: 3 }), 1));
        slots.release(SlotRange { offset: 4, length: 4 });
        assert_eq!((slots.allocate(5), slots.free()), (Some(SlotRange { offset: 3, length: 5 }), 0));
    }

    #[test]
    fn reserved_ids_are_not_handed_out() {
        let mut pool = IdPool::new(6);
        pool.reserve(3);
        pool.reserve(2);
        pool.reserve(99);
        assert_eq!(
            [pool.allocate(), pool.allocate(), pool.allocate(), pool.allocate()],
            [Some(1), Some(4), Some(5), None]
        );
    }

    proptest! {
        #[test]
        fn ranges_never_overlap_and_all_come_back(
            lengths in prop::collection::vec(0_u32..9, 1..40),
            reserved in (0_u32..100, 0_u32..20),
            order in any::<prop::sample::Index>(),
        ) {
            let mut pool = SlotPool::new(100);
            let reserved = SlotRange { offset: reserved.0, length: reserved.1.min(100 - reserved.0) };
            pool.reserve(reserved);
            let mut taken = vec![reserved];
            taken.extend(lengths.into_iter().filter_map(|length| pool.allocate(length)));
            let mut used = BTreeSet::new();
            for range in &taken {
                for slot in range.offset..range.offset + range.length {
                    prop_assert!(slot < 100 && used.insert(slot));
                }
            }
            let middle = order.index(taken.len());
            taken.rotate_left(middle);
            for range in taken {
                pool.release(range);
            }
            prop_assert_eq!(pool.free, BTreeMap::from([(0, 100)]));
        }
    }
}
