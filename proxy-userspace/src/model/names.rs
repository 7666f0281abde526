//! Interned names: thousands of objects repeat the same namespaces, port names and zones.

use std::{collections::HashSet, hash::Hash, sync::Arc};

/// The least number of values at which an interner is swept.
const SMALL: usize = 1024;

/// Gives equal values the same allocation. Values that nothing else refers to are swept now and then.
#[derive(Debug)]
pub(super) struct Interner<T: ?Sized> {
    values: HashSet<Arc<T>>,
    sweep_at: usize,
}

impl<T: ?Sized> Default for Interner<T> {
    fn default() -> Self {
        Self { values: HashSet::new(), sweep_at: SMALL }
    }
}

impl<T: ?Sized + Eq + Hash> Interner<T> {
    /// Returns the shared allocation for `value`.
    pub(super) fn intern<'a>(&mut self, value: &'a T) -> Arc<T>
    where
        Arc<T>: From<&'a T>,
    {
        if let Some(shared) = self.values.get(value) {
            return shared.clone();
        }
        if self.values.len() >= self.sweep_at {
            self.values.retain(|shared| Arc::strong_count(shared) > 1);
            self.sweep_at = SMALL.max(2 * self.values.len());
        }
        let shared = Arc::<T>::from(value);
        self.values.insert(shared.clone());
        shared
    }
}

/// A set of zones, by their names in the order of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ZoneSet(pub(super) Box<[Arc<str>]>);

impl From<&ZoneSet> for Arc<ZoneSet> {
    fn from(zones: &ZoneSet) -> Self {
        Self::new(zones.clone())
    }
}

/// The interners that parsing uses.
#[derive(Debug, Default)]
pub(super) struct Interners {
    /// Namespaces, names, port names, zones.
    pub(super) texts: Interner<str>,
    /// Sets of zones.
    pub(super) zone_sets: Interner<ZoneSet>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_one_allocation_and_unused_ones_are_forgotten() {
        let mut texts = Interner::<str>::default();
        let kept = texts.intern("kept");
        for number in 0..10 * SMALL {
            texts.intern(&number.to_string());
        }
        assert!(Arc::ptr_eq(&kept, &texts.intern("kept")));
        assert!(texts.values.len() <= SMALL + 1);
    }
}
