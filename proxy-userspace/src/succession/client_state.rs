//! Copies what programs have stored about clients and sockets, and go on storing meanwhile: once before the hooks get
//! their new programs, and once after. In between, an old entry may have been added, changed or removed; the second
//! pass does the same to the new map, unless the new programs have changed the entry themselves.

use std::collections::HashMap as Table;

use aya::{
    Pod,
    maps::{HashMap, MapData, MapError},
};
use bytemuck::{bytes_of, pod_read_unaligned};
use proxy_common::{Affinity, AffinityKey, Connection, Flow, Fragment, FragmentPorts, Peer};

use super::map_copy::{MapCopy, Refused};
use crate::maps::{MapsError, open};

const ANY: u64 = 0;
const NOEXIST: u64 = 1;
const EXIST: u64 = 2;

/// The bytes of keys and values when they were first copied.
type Entries = Table<Box<[u8]>, Box<[u8]>>;

/// The entries of each map; none if the start that copied them has died.
pub(super) type FirstCopy = Table<&'static str, Entries>;

/// Copies the old maps into new ones that no program uses yet.
pub(super) fn copy(maps: &MapCopy<'_>, copied: &mut FirstCopy) -> Result<Refused, MapsError> {
    each(maps, &mut Step::Copy(copied))
}

/// Repeats in the new maps what has changed in the old ones since; every hook has its new program by now.
pub(super) fn catch_up(maps: &MapCopy<'_>, copied: &FirstCopy) -> Result<Refused, MapsError> {
    each(maps, &mut Step::CatchUp(copied))
}

enum Step<'a> {
    Copy(&'a mut FirstCopy),
    CatchUp(&'a FirstCopy),
}

fn each(maps: &MapCopy<'_>, step: &mut Step<'_>) -> Result<Refused, MapsError> {
    let mut refused = Refused::new();
    refused.extend(one::<AffinityKey, Affinity>(maps, "AFFINITY", step)?);
    refused.extend(one::<u64, Connection>(maps, "SOCKET_CONNECTIONS", step)?);
    refused.extend(one::<Flow, Peer>(maps, "SOCKET_FLOWS", step)?);
    refused.extend(one::<Fragment, FragmentPorts>(maps, "FRAGMENTS", step)?);
    Ok(refused)
}

/// One step for one map. Returns how many of its entries did not fit.
fn one<K, V>(
    maps: &MapCopy<'_>,
    name: &'static str,
    step: &mut Step<'_>,
) -> Result<Option<(&'static str, usize)>, MapsError>
where
    K: Pod + bytemuck::Pod,
    V: Pod + bytemuck::Pod,
{
    if !maps.is_copied(name) {
        return Ok(None);
    }
    // When a program deletes the key that the iteration continues from, the kernel starts over: this bounds the
    // iteration to about one pass.
    let limit = maps.old_size(name)?;
    let old: HashMap<MapData, K, V> = open(maps.old, name)?;
    let entries = || old.iter().flatten().take(limit);
    let mut new = New::<K, V> { map: open(maps.new, name)?, refused: 0 };
    match step {
        Step::Copy(copied) => drop(copied.insert(name, new.copy(entries()))),
        Step::CatchUp(copied) => {
            let none = Entries::new();
            let copied = copied.get(name).unwrap_or(&none);
            entries().for_each(|(key, value)| {
                new.settle(key, copied.get(bytes_of(&key)).map(|first| &first[..]), Some(value));
            });
            let gone = copied.iter().map(|(key, first)| (pod_read_unaligned::<K>(key), first));
            let is_gone = |key: &K| matches!(old.get(key, 0), Err(MapError::KeyNotFound));
            gone.filter(|(key, _)| is_gone(key)).for_each(|(key, first)| new.settle(key, Some(first), None));
        }
    }
    Ok(Some((name, new.refused)).filter(|(_, refused)| *refused != 0))
}

/// A map that replaces another.
struct New<K, V> {
    map: HashMap<MapData, K, V>,
    refused: usize,
}

impl<K: Pod + bytemuck::Pod, V: Pod + bytemuck::Pod> New<K, V> {
    fn copy(&mut self, old: impl Iterator<Item = (K, V)>) -> Entries {
        let mut copied = Entries::new();
        for (key, value) in old {
            self.refused += usize::from(self.map.insert(key, value, ANY).is_err());
            copied.insert(bytes_of(&key).into(), bytes_of(&value).into());
        }
        copied
    }

    /// A program may change the new entry between the lookup and the write. In the worst case a socket is shown its
    /// backend instead of the frontend, or a client chooses a backend again. That is tolerated: it takes two dials of
    /// one socket, through hooks of both sets, within microseconds.
    fn settle(&mut self, key: K, first: Option<&[u8]>, old: Option<V>) {
        let new = self.map.get(&key, 0).ok();
        let change = change(first, old.as_ref().map(bytes_of), new.as_ref().map(bytes_of));
        let written = match (change, old) {
            (Some(Change::Insert), Some(old)) => self.map.insert(key, old, NOEXIST),
            (Some(Change::Replace), Some(old)) => self.map.insert(key, old, EXIST),
            // An absent entry is as good as removed.
            (Some(Change::Remove), _) => self.map.remove(&key).or(Ok(())),
            _ => Ok(()),
        };
        self.refused += usize::from(written.is_err_and(|error| !is_outrun(&error)));
    }
}

/// What to do with an entry of a new map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Insert,
    Replace,
    Remove,
}

/// Decides by the entry's value when it was first copied, and its values in the old and the new map now.
fn change<V: PartialEq>(first: Option<V>, old: Option<V>, new: Option<V>) -> Option<Change> {
    match (first, old, new) {
        // A copied entry that is missing from the new map belonged to a socket that has closed, so it is not inserted
        // again.
        (None, Some(_), None) => Some(Change::Insert),
        (Some(first), Some(old), Some(new)) if first == new && first != old => Some(Change::Replace),
        (Some(first), None, Some(new)) if first == new => Some(Change::Remove),
        _ => None,
    }
}

/// Whether a program has inserted or removed the entry at the same moment.
fn is_outrun(error: &MapError) -> bool {
    let MapError::SyscallError(error) = error else { return false };
    matches!(error.io_error.raw_os_error(), Some(libc::EEXIST | libc::ENOENT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w01_what_the_old_programs_have_done_since_the_first_copy_is_done() {
        assert_eq!(change(None, Some(1), None), Some(Change::Insert));
        assert_eq!(change(Some(1), Some(2), Some(1)), Some(Change::Replace));
        assert_eq!(change(Some(1), None, Some(1)), Some(Change::Remove));
    }

    #[test]
    fn w01_what_the_new_programs_have_done_stays() {
        for (first, old, new) in [
            (Some(1), Some(1), None),
            (Some(1), Some(2), None),
            (Some(1), Some(2), Some(3)),
            (Some(1), None, Some(3)),
            (Some(1), Some(1), Some(3)),
            (None, Some(2), Some(3)),
            (Some(1), Some(1), Some(1)),
            (Some(1), None, None),
        ] {
            assert_eq!(change(first, old, new), None, "{first:?} {old:?} {new:?}");
        }
    }
}
