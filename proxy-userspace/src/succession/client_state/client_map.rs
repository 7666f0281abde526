//! The maps of clients and sockets by key: either a kernel hash map or SOCKET_CONNECTIONS, a table in an array.

use aya::{
    Pod,
    maps::{HashMap, MapData, MapError},
};
use proxy_common::Connection;

use crate::maps::{MapsError, PinFolder, connections::Connections, open};

/// The condition for writing an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteMode {
    /// Insert or replace.
    Always,
    /// Only insert.
    Absent,
    /// Only replace.
    Present,
}

/// A map that programs use concurrently. If a program inserts or removes the entry at the same moment, its change stays, and the
/// operation counts as successful.
pub(super) trait ClientMap: Sized {
    type Key: bytemuck::Pod;
    type Value: bytemuck::Pod;

    /// Opens the pinned map.
    fn open(folder: &PinFolder, name: &'static str) -> Result<Self, MapsError>;

    /// Returns the entries. `size` is the most that the map holds.
    fn entries(&self, size: usize) -> impl Iterator<Item = (Self::Key, Self::Value)>;

    /// Returns the value of a key; `None` if it is absent or can't be read.
    fn get(&self, key: &Self::Key) -> Option<Self::Value>;

    /// Whether the map certainly lacks a key. False if it can't be read.
    fn lacks(&self, key: &Self::Key) -> bool;

    /// Writes an entry. Returns false if the map refuses it.
    fn write(&mut self, key: &Self::Key, value: &Self::Value, mode: WriteMode) -> bool;

    /// Removes an entry. Returns false if the map refuses that.
    fn remove(&mut self, key: &Self::Key) -> bool;
}

impl<K: Pod + bytemuck::Pod, V: Pod + bytemuck::Pod> ClientMap for HashMap<MapData, K, V> {
    type Key = K;
    type Value = V;

    fn open(folder: &PinFolder, name: &'static str) -> Result<Self, MapsError> {
        open(folder, name)
    }

    /// The kernel restarts an iteration when a program has deleted the key to continue from; `size` bounds it to about one pass.
    fn entries(&self, size: usize) -> impl Iterator<Item = (K, V)> {
        self.iter().flatten().take(size)
    }

    fn get(&self, key: &K) -> Option<V> {
        Self::get(self, key, 0).ok()
    }

    fn lacks(&self, key: &K) -> bool {
        matches!(Self::get(self, key, 0), Err(MapError::KeyNotFound))
    }

    fn write(&mut self, key: &K, value: &V, mode: WriteMode) -> bool {
        const ANY: u64 = 0;
        const NOEXIST: u64 = 1;
        const EXIST: u64 = 2;
        let flags = match mode {
            WriteMode::Always => ANY,
            WriteMode::Absent => NOEXIST,
            WriteMode::Present => EXIST,
        };
        !self.insert(key, value, flags).is_err_and(|error| !is_race(&error))
    }

    fn remove(&mut self, key: &K) -> bool {
        !Self::remove(self, key).is_err_and(|error| !is_race(&error))
    }
}

/// Whether a program has inserted or removed the entry at the same moment.
fn is_race(error: &MapError) -> bool {
    match error {
        MapError::KeyNotFound => true,
        MapError::SyscallError(error) => {
            matches!(error.io_error.raw_os_error(), Some(libc::EEXIST | libc::ENOENT))
        }
        _ => false,
    }
}

impl ClientMap for Connections {
    type Key = u64;
    type Value = Connection;

    fn open(folder: &PinFolder, _: &'static str) -> Result<Self, MapsError> {
        Self::open(folder)
    }

    fn entries(&self, _: usize) -> impl Iterator<Item = (u64, Connection)> {
        self.entries()
    }

    fn get(&self, cookie: &u64) -> Option<Connection> {
        self.get(*cookie)
    }

    fn lacks(&self, cookie: &u64) -> bool {
        self.get(*cookie).is_none()
    }

    fn write(&mut self, cookie: &u64, connection: &Connection, mode: WriteMode) -> bool {
        let is_meant = match mode {
            WriteMode::Absent => self.lacks(cookie),
            WriteMode::Present => Self::remove(self, *cookie),
            WriteMode::Always => ClientMap::remove(self, cookie),
        };
        !is_meant || self.insert(*cookie, *connection)
    }

    fn remove(&mut self, cookie: &u64) -> bool {
        // An absent entry needs no removal.
        let _ = Self::remove(self, *cookie);
        true
    }
}
