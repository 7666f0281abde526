//! Traits for what the writer does with maps. They are implemented for the kernel's maps, and for maps in memory, which tests can
//! make full or let refuse any write.

use aya::{
    maps::{Array, HashMap, LpmTrie, MapData, MapError, PerCpuArray, PerCpuValues, lpm_trie::Key},
    util::nr_cpus,
};

use crate::node::bpf::MappedArray;

/// An implementation of maps: a type for each kind of BPF map.
pub trait Store {
    /// An array that is mapped into memory (`BPF_F_MMAPABLE`).
    type Mapped<T: aya::Pod>: Elements<T>;
    /// An array that is written by system calls.
    type Array<T: aya::Pod>: Cells<T>;
    /// A per-CPU array of counters.
    type Counters<T: aya::Pod + Default>: Counts;
    /// A hash.
    type Hash<K: aya::Pod, V: aya::Pod>: Entries<K, V>;
    /// A trie of prefixes (`BPF_MAP_TYPE_LPM_TRIE`): a lookup finds the entry with the longest prefix of the key.
    type Trie<K: aya::Pod, V: aya::Pod>: Entries<Key<K>, V>;
}

/// An array whose writes can't fail.
pub trait Elements<T> {
    /// Returns the number of elements.
    fn length(&self) -> u32;

    /// Returns the element at `index`; `None` past the end.
    fn get(&self, index: u32) -> Option<T>;

    /// Replaces the element at `index`. Does nothing past the end.
    fn set(&mut self, index: u32, value: T);
}

/// An array whose writes may fail.
pub trait Cells<T> {
    /// Returns the element at `index`; `None` past the end, or if it can't be read.
    fn get(&self, index: u32) -> Option<T>;

    /// Replaces the element at `index`.
    fn set(&mut self, index: u32, value: T) -> Result<(), MapError>;
}

/// An array of counters.
pub trait Counts {
    /// Sets the counters at `index` to 0 on every CPU.
    fn zero(&mut self, index: u32) -> Result<(), MapError>;
}

/// A map of entries by key.
pub trait Entries<K, V> {
    /// Returns the value of a key; `None` if it is absent or can't be read.
    fn get(&self, key: &K) -> Option<V>;

    /// Inserts or replaces an entry. Replacing works in a full map, too, but may fail for lack of memory.
    fn put(&mut self, key: K, value: V) -> Result<(), MapError>;

    /// Removes an entry. Does nothing if it is absent.
    fn remove(&mut self, key: &K);

    /// Returns the keys. Those that can't be read are left out.
    fn keys(&self) -> impl Iterator<Item = K>;

    /// Returns the entries. Those that can't be read are left out.
    fn entries(&self) -> impl Iterator<Item = (K, V)>;
}

/// The kernel's maps.
#[derive(Debug)]
pub enum Kernel {}

impl Store for Kernel {
    type Mapped<T: aya::Pod> = MappedArray<T>;
    type Array<T: aya::Pod> = Array<MapData, T>;
    type Counters<T: aya::Pod + Default> = PerCpuArray<MapData, T>;
    type Hash<K: aya::Pod, V: aya::Pod> = HashMap<MapData, K, V>;
    type Trie<K: aya::Pod, V: aya::Pod> = LpmTrie<MapData, K, V>;
}

impl<T: aya::Pod> Elements<T> for MappedArray<T> {
    fn length(&self) -> u32 {
        self.length()
    }

    fn get(&self, index: u32) -> Option<T> {
        self.get(index)
    }

    fn set(&mut self, index: u32, value: T) {
        self.set(index, value);
    }
}

impl<V: aya::Pod> Cells<V> for Array<MapData, V> {
    fn get(&self, index: u32) -> Option<V> {
        Array::get(self, &index, 0).ok()
    }

    fn set(&mut self, index: u32, value: V) -> Result<(), MapError> {
        Array::set(self, index, value, 0)
    }
}

impl<V: aya::Pod + Default> Counts for PerCpuArray<MapData, V> {
    fn zero(&mut self, index: u32) -> Result<(), MapError> {
        let processors = nr_cpus().map_err(|(_, error)| error)?;
        self.set(index, PerCpuValues::try_from(vec![V::default(); processors])?, 0)
    }
}

impl<K: aya::Pod, V: aya::Pod> Entries<K, V> for HashMap<MapData, K, V> {
    fn get(&self, key: &K) -> Option<V> {
        HashMap::get(self, key, 0).ok()
    }

    fn put(&mut self, key: K, value: V) -> Result<(), MapError> {
        self.insert(key, value, 0)
    }

    fn remove(&mut self, key: &K) {
        let _ = HashMap::remove(self, key);
    }

    fn keys(&self) -> impl Iterator<Item = K> {
        HashMap::keys(self).filter_map(Result::ok)
    }

    fn entries(&self) -> impl Iterator<Item = (K, V)> {
        self.iter().filter_map(Result::ok)
    }
}

impl<K: aya::Pod, V: aya::Pod> Entries<Key<K>, V> for LpmTrie<MapData, K, V> {
    fn get(&self, key: &Key<K>) -> Option<V> {
        LpmTrie::get(self, key, 0).ok()
    }

    fn put(&mut self, key: Key<K>, value: V) -> Result<(), MapError> {
        self.insert(&key, value, 0)
    }

    fn remove(&mut self, key: &Key<K>) {
        let _ = LpmTrie::remove(self, key);
    }

    fn keys(&self) -> impl Iterator<Item = Key<K>> {
        LpmTrie::keys(self).filter_map(Result::ok)
    }

    fn entries(&self) -> impl Iterator<Item = (Key<K>, V)> {
        self.iter().filter_map(Result::ok)
    }
}
