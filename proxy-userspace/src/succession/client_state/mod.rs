//! Copies what programs store about clients and sockets. They continue to store during the copy, so there are two passes: one
//! before the hooks get their new programs, and one after. In between, old programs may have added, changed or removed an entry;
//! the second pass does the same to the new map, unless the new programs have changed that entry themselves.

mod client_map;

use std::collections::HashMap as Entries;

use aya::maps::{HashMap, MapData};
use bytemuck::{bytes_of, pod_read_unaligned};
use proxy_common::{Affinity, AffinityKey, Flow, Fragment, FragmentPorts, Peer};

use self::client_map::{ClientMap, WriteMode};
use super::map_copy::{MapCopy, Refused};
use crate::maps::{MapsError, connections::Connections};

/// The bytes of keys and values as they were first copied.
type Bytes = Entries<Box<[u8]>, Box<[u8]>>;

/// The entries of each map as they were first copied; empty if the start that copied them has died.
pub(super) type FirstCopy = Entries<&'static str, Bytes>;

/// Copies the old maps into new ones that no program uses yet.
pub(super) fn copy(maps: &MapCopy<'_>, copied: &mut FirstCopy) -> Result<Refused, MapsError> {
    each(maps, &mut Step::Copy(copied))
}

/// Repeats in the new maps what has changed in the old ones since the first copy. Every hook must have its new program.
pub(super) fn catch_up(maps: &MapCopy<'_>, copied: &FirstCopy) -> Result<Refused, MapsError> {
    each(maps, &mut Step::CatchUp(copied))
}

enum Step<'a> {
    Copy(&'a mut FirstCopy),
    CatchUp(&'a FirstCopy),
}

fn each(maps: &MapCopy<'_>, step: &mut Step<'_>) -> Result<Refused, MapsError> {
    let mut refused = Refused::new();
    refused.extend(one::<HashMap<MapData, AffinityKey, Affinity>>(maps, "AFFINITY", step)?);
    refused.extend(one::<Connections>(maps, "SOCKET_CONNECTIONS", step)?);
    refused.extend(one::<HashMap<MapData, Flow, Peer>>(maps, "SOCKET_FLOWS", step)?);
    refused.extend(one::<HashMap<MapData, Fragment, FragmentPorts>>(maps, "FRAGMENTS", step)?);
    Ok(refused)
}

/// Does one step for one map. Returns the map's name and how many entries did not fit, if there are any.
fn one<T: ClientMap>(
    maps: &MapCopy<'_>,
    name: &'static str,
    step: &mut Step<'_>,
) -> Result<Option<(&'static str, usize)>, MapsError> {
    if !maps.is_copied(name) {
        return Ok(None);
    }
    let limit = maps.old_size(name)?;
    let old = T::open(maps.old, name)?;
    let mut new = New { map: T::open(maps.new, name)?, refused: 0 };
    match step {
        Step::Copy(copied) => drop(copied.insert(name, new.copy(old.entries(limit)))),
        Step::CatchUp(copied) => {
            let none = Bytes::new();
            let copied = copied.get(name).unwrap_or(&none);
            old.entries(limit).for_each(|(key, value)| {
                new.settle(key, copied.get(bytes_of(&key)).map(|first| &first[..]), Some(value));
            });
            let gone = copied.iter().map(|(key, first)| (pod_read_unaligned(key), first));
            gone.filter(|(key, _)| old.lacks(key)).for_each(|(key, first)| new.settle(key, Some(first), None));
        }
    }
    Ok(Some((name, new.refused)).filter(|(_, refused)| *refused != 0))
}

/// A map of the new set, and how many entries did not fit into it.
struct New<T> {
    map: T,
    refused: usize,
}

impl<T: ClientMap> New<T> {
    fn copy(&mut self, old: impl Iterator<Item = (T::Key, T::Value)>) -> Bytes {
        let mut copied = Bytes::new();
        for (key, value) in old {
            self.refused += usize::from(!self.map.write(&key, &value, WriteMode::Always));
            copied.insert(bytes_of(&key).into(), bytes_of(&value).into());
        }
        copied
    }

    /// Repeats the change of one entry. A program may change the new entry between the lookup and the write. In the worst case a
    /// client chooses a backend again, or the entry of a socket that has just closed takes room until the map is replaced. That is
    /// tolerated: it takes two calls of one socket, through hooks of both sets, within microseconds. No socket is shown its backend
    /// instead of the frontend: the old programs that translate for it are still attached (`attach/old_programs.rs`).
    fn settle(&mut self, key: T::Key, first: Option<&[u8]>, old: Option<T::Value>) {
        let new = self.map.get(&key);
        let change = change(first, old.as_ref().map(bytes_of), new.as_ref().map(bytes_of));
        let is_written = match (change, old) {
            (Some(Change::Insert), Some(old)) => self.map.write(&key, &old, WriteMode::Absent),
            (Some(Change::Replace), Some(old)) => self.map.write(&key, &old, WriteMode::Present),
            (Some(Change::Remove), _) => self.map.remove(&key),
            _ => true,
        };
        self.refused += usize::from(!is_written);
    }
}

/// A change of an entry in a new map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Insert,
    Replace,
    Remove,
}

/// Decides by the entry's value when it was first copied, and by its current values in the old and the new map.
fn change<V: PartialEq>(first: Option<V>, old: Option<V>, new: Option<V>) -> Option<Change> {
    match (first, old, new) {
        // A copied entry that the new map lacks belonged to a socket that has closed, so only an entry that was not copied is
        // inserted.
        (None, Some(_), None) => Some(Change::Insert),
        (Some(first), Some(old), Some(new)) if first == new && first != old => Some(Change::Replace),
        (Some(first), None, Some(new)) if first == new => Some(Change::Remove),
        _ => None,
    }
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
