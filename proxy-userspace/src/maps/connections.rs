//! SOCKET_CONNECTIONS as a table by socket cookie. Programs may read and write it concurrently, so entries are claimed as the
//! programs claim them, by compare-and-exchange of the cookie.

use std::{
    mem::offset_of,
    sync::atomic::{AtomicU64, Ordering},
};

use aya::maps::MapError;
use proxy_common::{
    Connection, ConnectionSet,
    connection::{BUSY, WAYS},
};

use super::{MapsError, PinFolder, open_data};
use crate::node::bpf::MappedArray;

const NAME: &str = "SOCKET_CONNECTIONS";

/// A connection as 64-bit words.
type Words = [u64; words(size_of::<Connection>()) as usize];

#[expect(clippy::cast_possible_truncation, reason = "parts of a set are small")]
const fn words(bytes: usize) -> u32 {
    (bytes / size_of::<u64>()) as u32
}

/// The table, accessed word by word. An entry that a program writes at the same moment may be read half-written; a succession
/// reads all entries a second time when no program writes the table any more.
pub struct Connections {
    words: MappedArray<u64>,
    sets: u32,
}

impl Connections {
    /// Maps the pinned map into memory.
    pub fn open(folder: &PinFolder) -> Result<Self, MapsError> {
        let map = open_data(folder, NAME)?;
        let failed = |source| MapsError::Type { name: NAME, source };
        let sets = map.info().map_err(failed)?.max_entries();
        let words = MappedArray::new(map.fd(), sets * words(size_of::<ConnectionSet>()));
        Ok(Self { words: words.map_err(|error| failed(MapError::from(error)))?, sets })
    }

    /// Returns the cookie and connection of every socket.
    pub fn entries(&self) -> impl Iterator<Item = (u64, Connection)> {
        (0..self.sets).flat_map(ways).filter_map(|way| {
            let cookie = self.cookie(way)?.load(Ordering::Acquire);
            let is_taken = cookie != 0 && cookie != BUSY;
            is_taken.then(|| (cookie, self.read(way)))
        })
    }

    /// Returns the connection of the socket with this cookie.
    pub fn get(&self, cookie: u64) -> Option<Connection> {
        self.find(cookie).map(|way| self.read(way))
    }

    /// Inserts the entry of a socket that has none. Returns false if the cookie's set is full.
    pub fn insert(&self, cookie: u64, connection: Connection) -> bool {
        let mut ways = ways(ConnectionSet::index(cookie, self.sets));
        let Some(way) = ways.find(|way| self.exchange(*way, 0, BUSY)) else { return false };
        let words: Words = bytemuck::must_cast(connection);
        for (word, value) in self.connection(way).zip(words) {
            word.store(value, Ordering::Relaxed);
        }
        self.exchange(way, BUSY, cookie)
    }

    /// Removes the entry of a socket. Returns false if it had none.
    pub fn remove(&self, cookie: u64) -> bool {
        self.find(cookie).is_some_and(|way| self.exchange(way, cookie, 0))
    }

    fn find(&self, cookie: u64) -> Option<Way> {
        let mut ways = ways(ConnectionSet::index(cookie, self.sets));
        ways.find(|way| self.cookie(*way).is_some_and(|word| word.load(Ordering::Acquire) == cookie))
    }

    fn exchange(&self, way: Way, old: u64, new: u64) -> bool {
        let exchange = |word: &AtomicU64| word.compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed);
        self.cookie(way).is_some_and(|word| exchange(word).is_ok())
    }

    fn read(&self, way: Way) -> Connection {
        let mut words = Words::default();
        for (value, word) in words.iter_mut().zip(self.connection(way)) {
            *value = word.load(Ordering::Relaxed);
        }
        bytemuck::must_cast(words)
    }

    fn cookie(&self, way: Way) -> Option<&AtomicU64> {
        self.words.word(way.set * words(size_of::<ConnectionSet>()) + way.number)
    }

    fn connection(&self, way: Way) -> impl Iterator<Item = &AtomicU64> {
        const FIRST: u32 = words(offset_of!(ConnectionSet, connections));
        const LENGTH: u32 = words(size_of::<Connection>());
        let first = way.set * words(size_of::<ConnectionSet>()) + FIRST + way.number * LENGTH;
        (first..first + LENGTH).filter_map(|word| self.words.word(word))
    }
}

/// The position of an entry: a set, and a way of the set.
#[derive(Clone, Copy)]
struct Way {
    set: u32,
    number: u32,
}

/// Returns the positions of a set.
fn ways(set: u32) -> impl Iterator<Item = Way> {
    (0..WAYS).map(move |number| Way { set, number })
}
