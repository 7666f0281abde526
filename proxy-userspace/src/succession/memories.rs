//! Carries over what programs have noted of clients and sockets, which they go on noting meanwhile: once before the hooks get
//! their new programs, once afterwards. What has become of an entry of the old map in between is then done to the new map's,
//! unless the new programs have changed that themselves.

use std::collections::HashMap as Table;

use aya::{
    Pod,
    maps::{HashMap, MapData, MapError},
};
use bytemuck::{bytes_of, pod_read_unaligned};
use proxy_common::{Affinity, AffinityKey, Connection, Flow, Fragment, FragmentPorts, Peer};

use super::carry::{Carry, Refused};
use crate::maps::{MapsError, open};

const ANY: u64 = 0;
const NOEXIST: u64 = 1;
const EXIST: u64 = 2;

/// The bytes of keys and values as they were when they were copied first.
type Entries = Table<Box<[u8]>, Box<[u8]>>;

/// Those of each map; none if the start that has copied them is dead.
pub(super) type Copied = Table<&'static str, Entries>;

/// Copies what the old maps have into new ones, which no program uses yet.
pub(super) fn copy(carry: &Carry<'_>, copied: &mut Copied) -> Result<Refused, MapsError> {
    each(carry, &mut Step::Copy(copied))
}

/// Does in the new maps what has come of the old ones since, when every hook has its new program.
pub(super) fn catch_up(carry: &Carry<'_>, copied: &Copied) -> Result<Refused, MapsError> {
    each(carry, &mut Step::CatchUp(copied))
}

enum Step<'a> {
    Copy(&'a mut Copied),
    CatchUp(&'a Copied),
}

fn each(carry: &Carry<'_>, step: &mut Step<'_>) -> Result<Refused, MapsError> {
    let mut refused = Refused::new();
    refused.extend(one::<AffinityKey, Affinity>(carry, "AFFINITY", step)?);
    refused.extend(one::<u64, Connection>(carry, "SOCKET_CONNECTIONS", step)?);
    refused.extend(one::<Flow, Peer>(carry, "SOCKET_FLOWS", step)?);
    refused.extend(one::<Fragment, FragmentPorts>(carry, "FRAGMENTS", step)?);
    Ok(refused)
}

/// One map; how many of its entries have found no place.
fn one<K, V>(
    carry: &Carry<'_>,
    name: &'static str,
    step: &mut Step<'_>,
) -> Result<Option<(&'static str, usize)>, MapsError>
where
    K: Pod + bytemuck::Pod,
    V: Pod + bytemuck::Pod,
{
    if !carry.is_carried(name) {
        return Ok(None);
    }
    // Where programs remove the key to go on from, the kernel begins anew: after so many entries it is once round.
    let limit = carry.old_size(name)?;
    let old: HashMap<MapData, K, V> = open(carry.old, name)?;
    let entries = || old.iter().flatten().take(limit);
    let mut new = New::<K, V> { map: open(carry.new, name)?, refused: 0 };
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

/// A map that takes the place of another.
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

    /// A program may change the new entry between the look and what follows. At worst its socket shows its backend, or its
    /// client chooses anew: that takes two dials of one socket, by hooks of both sets, within microseconds.
    fn settle(&mut self, key: K, first: Option<&[u8]>, old: Option<V>) {
        let new = self.map.get(&key, 0).ok();
        let change = change(first, old.as_ref().map(bytes_of), new.as_ref().map(bytes_of));
        let written = match (change, old) {
            (Some(Change::Insert), Some(old)) => self.map.insert(key, old, NOEXIST),
            (Some(Change::Replace), Some(old)) => self.map.insert(key, old, EXIST),
            // Absent is as good as removed.
            (Some(Change::Remove), _) => self.map.remove(&key).or(Ok(())),
            _ => Ok(()),
        };
        self.refused += usize::from(written.is_err_and(|error| !is_outrun(&error)));
    }
}

/// What is to be done to an entry of a new map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Insert,
    Replace,
    Remove,
}

/// Decides that, by what it was when it was copied first, and what the old map and the new one have now.
fn change<V: PartialEq>(first: Option<V>, old: Option<V>, new: Option<V>) -> Option<Change> {
    match (first, old, new) {
        // Without the new one, the socket of a copied entry has closed.
        (None, Some(_), None) => Some(Change::Insert),
        (Some(first), Some(old), Some(new)) if first == new && first != old => Some(Change::Replace),
        (Some(first), None, Some(new)) if first == new => Some(Change::Remove),
        _ => None,
    }
}

/// Whether a program has made or removed the entry just now.
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
