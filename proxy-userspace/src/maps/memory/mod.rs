//! Maps in memory for tests of the writer. They can be full, any write can be made to fail, and a witness checks all of them
//! after each write, as a program would see them that runs at that moment.

mod set;

use std::{
    cell::{Ref, RefCell},
    collections::{BTreeMap, VecDeque},
    io,
    rc::Rc,
};

pub(crate) use self::set::Capacities;
use super::store::{Cells, Counts, Elements, Entries, Store};
use aya::{
    maps::{MapError, lpm_trie::Key},
    sys::SyscallError,
};

/// Maps in memory.
pub(crate) enum Memory {}

impl Store for Memory {
    type Mapped<T: aya::Pod> = Array<T>;
    type Array<T: aya::Pod> = Array<T>;
    type Counters<T: aya::Pod + Default> = Kernel;
    type Hash<K: aya::Pod, V: aya::Pod> = Hash<K, V>;
    type Trie<K: aya::Pod, V: aya::Pod> = Trie<K, V>;
}

/// Decides whether writes succeed, and calls the witness after each. All maps of a set share one.
#[derive(Clone, Default)]
pub(crate) struct Kernel(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    /// For each of the next writes, the errno that it fails with, if any.
    errors: VecDeque<Option<i32>>,
    witness: Option<Rc<dyn Fn()>>,
    /// How many more writes have an effect; then the writer counts as killed.
    life: Option<u32>,
}

impl Kernel {
    /// Makes the next writes fail with these errnos, or succeed for `None`. All later ones succeed.
    pub(crate) fn refuse(&self, errors: impl IntoIterator<Item = Option<i32>>) {
        self.0.borrow_mut().errors = errors.into_iter().collect();
    }

    /// Calls `witness` after each write from now on.
    pub(crate) fn witness(&self, witness: impl Fn() + 'static) {
        self.0.borrow_mut().witness = Some(Rc::new(witness));
    }

    /// Kills the writer after this many more writes.
    pub(crate) fn kill_after(&self, writes: u32) {
        self.0.borrow_mut().life = Some(writes);
    }

    /// Lets writes have an effect again, for another writer.
    pub(crate) fn revive(&self) {
        self.0.borrow_mut().life = None;
    }

    /// Counts a write. Returns whether it still has an effect.
    fn lives(&self) -> bool {
        let life = &mut self.0.borrow_mut().life;
        let lives = *life != Some(0);
        *life = life.map(|writes| writes.saturating_sub(1));
        lives
    }

    fn may_write(&self) -> Result<(), MapError> {
        let error = self.0.borrow_mut().errors.pop_front().flatten();
        error.map_or(Ok(()), |number| Err(refusal(number)))
    }

    fn written(&self) {
        let witness = self.0.borrow().witness.clone();
        if let Some(witness) = witness {
            witness();
        }
    }
}

fn refusal(number: i32) -> MapError {
    let io_error = io::Error::from_raw_os_error(number);
    MapError::SyscallError(SyscallError { call: "bpf_map_update_elem", io_error })
}

impl Counts for Kernel {
    fn zero(&mut self, _index: u32) -> Result<(), MapError> {
        self.may_write()
    }
}

/// An array. Clones are the same array.
#[derive(Clone)]
pub(crate) struct Array<T> {
    elements: Rc<RefCell<Vec<T>>>,
    kernel: Kernel,
    /// Whether the witness is called after each write: not for the filters, of which one change may write 65,536 elements.
    is_watched: bool,
}

impl<T: Copy + Default> Array<T> {
    fn new(length: u32, kernel: &Kernel) -> Self {
        Self {
            elements: Rc::new(RefCell::new(vec![T::default(); length as usize])),
            kernel: kernel.clone(),
            is_watched: true,
        }
    }

    /// Returns all elements.
    pub(crate) fn elements(&self) -> Ref<'_, Vec<T>> {
        self.elements.borrow()
    }
}

impl<T: Copy> Elements<T> for Array<T> {
    fn length(&self) -> u32 {
        u32::try_from(self.elements.borrow().len()).expect("tests use small arrays")
    }

    fn get(&self, index: u32) -> Option<T> {
        self.elements.borrow().as_slice().get(index as usize).copied()
    }

    fn set(&mut self, index: u32, value: T) {
        if self.kernel.lives() {
            self.elements.borrow_mut()[index as usize] = value;
            if self.is_watched {
                self.kernel.written();
            }
        }
    }
}

impl<T: Copy> Cells<T> for Array<T> {
    fn get(&self, index: u32) -> Option<T> {
        Elements::get(self, index)
    }

    fn set(&mut self, index: u32, value: T) -> Result<(), MapError> {
        self.kernel.may_write()?;
        Elements::set(self, index, value);
        Ok(())
    }
}

impl<T: Copy> Elements<T> for Vec<T> {
    fn length(&self) -> u32 {
        u32::try_from(self.len()).expect("tests use small arrays")
    }

    fn get(&self, index: u32) -> Option<T> {
        self.as_slice().get(index as usize).copied()
    }

    fn set(&mut self, index: u32, value: T) {
        self[index as usize] = value;
    }
}

/// Entries by the bytes of their keys.
type ByBytes<K, V> = Rc<RefCell<BTreeMap<Vec<u8>, (K, V)>>>;

/// A hash, by the bytes of its keys. Clones are the same map.
#[derive(Clone)]
pub(crate) struct Hash<K, V> {
    entries: ByBytes<K, V>,
    room: usize,
    bytes: fn(&K) -> Vec<u8>,
    kernel: Kernel,
}

impl<K: bytemuck::NoUninit, V: Copy> Hash<K, V> {
    /// Returns an empty hash with this much room, in entries.
    pub(crate) fn empty(room: usize, kernel: &Kernel) -> Self {
        Self::new(room, |key| bytemuck::bytes_of(key).to_vec(), kernel)
    }
}

impl<K: Copy, V: Copy> Hash<K, V> {
    fn new(room: usize, bytes: fn(&K) -> Vec<u8>, kernel: &Kernel) -> Self {
        Self { entries: Rc::default(), room, bytes, kernel: kernel.clone() }
    }
}

impl<K: Copy, V: Copy> Entries<K, V> for Hash<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        self.entries.borrow().get(&(self.bytes)(key)).map(|(_, value)| *value)
    }

    fn put(&mut self, key: K, value: V) -> Result<(), MapError> {
        self.kernel.may_write()?;
        let bytes = (self.bytes)(&key);
        let mut entries = self.entries.borrow_mut();
        if entries.len() == self.room && !entries.contains_key(&bytes) {
            return Err(refusal(libc::E2BIG));
        }
        if self.kernel.lives() {
            entries.insert(bytes, (key, value));
            drop(entries);
            self.kernel.written();
        }
        Ok(())
    }

    fn remove(&mut self, key: &K) {
        if self.kernel.lives() {
            self.entries.borrow_mut().remove(&(self.bytes)(key));
            self.kernel.written();
        }
    }

    fn keys(&self) -> impl Iterator<Item = K> {
        self.entries().map(|(key, _)| key)
    }

    fn entries(&self) -> impl Iterator<Item = (K, V)> {
        self.entries.borrow().values().copied().collect::<Vec<_>>().into_iter()
    }
}

/// A trie. Clones are the same map.
#[derive(Clone)]
pub(crate) struct Trie<K, V>(Hash<Key<K>, V>)
where
    K: aya::Pod;

impl<K: aya::Pod + bytemuck::NoUninit, V: Copy> Trie<K, V> {
    fn new(room: usize, kernel: &Kernel) -> Self {
        Self(Hash::new(
            room,
            |key| [bytemuck::bytes_of(&key.prefix_len()), bytemuck::bytes_of(&key.data())].concat(),
            kernel,
        ))
    }
}

impl<K: aya::Pod, V: Copy> Entries<Key<K>, V> for Trie<K, V> {
    fn get(&self, key: &Key<K>) -> Option<V> {
        let bits = |key: &Key<K>| (self.0.bytes)(key).split_off(size_of::<u32>());
        let wanted = bits(key);
        let has = |prefix: &Key<K>| {
            let (bytes, rest) = (prefix.prefix_len() as usize / 8, prefix.prefix_len() % 8);
            let prefix = bits(prefix);
            let differs = |index: usize| (prefix[index] ^ wanted[index]).leading_zeros();
            prefix[..bytes] == wanted[..bytes] && (rest == 0 || differs(bytes) >= rest)
        };
        let found = self.0.entries().filter(|(prefix, _)| has(prefix)).max_by_key(|(prefix, _)| prefix.prefix_len());
        found.map(|(_, value)| value)
    }

    fn put(&mut self, key: Key<K>, value: V) -> Result<(), MapError> {
        self.0.put(key, value)
    }

    fn remove(&mut self, key: &Key<K>) {
        self.0.remove(key);
    }

    fn keys(&self) -> impl Iterator<Item = Key<K>> {
        self.0.keys()
    }

    fn entries(&self) -> impl Iterator<Item = (Key<K>, V)> {
        self.0.entries()
    }
}
