//! The flow maps of both families as one table: assured flows (FLOW_BUCKETS and CONNTRACK) or embryonic flows
//! (EMBRYONIC).

use std::borrow::Borrow as _;

use aya::{
    Pod,
    maps::{Array, HashMap, MapData, MapError},
};
use proxy_common::{ConntrackEntry, EntryMeta, FlowBucket, Ipv4ConntrackEntry, Stored, Tuple};

use crate::{
    maps::{MapsError, PinFolder, open_data, open_data_read_only, typed},
    node::bpf,
};

/// Opens a pinned map by its name.
type Opener = fn(&PinFolder, &'static str) -> Result<MapData, MapsError>;

/// How many buckets are read with one system call.
const BATCH: u32 = 4096;

/// A table of flows.
pub struct FlowTable {
    ipv4: Entries<Ipv4ConntrackEntry>,
    ipv6: Entries<ConntrackEntry>,
}

/// The flow maps of one family.
struct Entries<E: Stored<Bucket: Pod>> {
    buckets: Option<Buckets<E::Bucket>>,
    /// The hash of all flows that have no bucket.
    map: HashMap<MapData, E::Key, E>,
    /// The capacity of the buckets and the hash together.
    capacity: usize,
}

/// FLOW_BUCKETS of a family. It is not mapped into memory, because the mapping would count as the agent's memory.
struct Buckets<L: Pod> {
    array: Array<MapData, L>,
    map: MapData,
    /// For each set of buckets, 1 once an entry of it has been put into the hash.
    overflow: Array<MapData, u8>,
}

/// The names of a table's pinned maps, for each family: the buckets, if it has any, and the hash.
#[derive(Clone, Copy, Debug)]
pub struct FlowMapNames([(Option<&'static str>, &'static str); 2]);

impl FlowMapNames {
    /// The maps of assured flows.
    pub const ASSURED: Self =
        Self([(Some("FLOW_BUCKETS_IPV4"), "CONNTRACK_IPV4"), (Some("FLOW_BUCKETS_IPV6"), "CONNTRACK_IPV6")]);
    /// The maps of embryonic flows.
    pub const EMBRYONIC: Self = Self([(None, "EMBRYONIC_IPV4"), (None, "EMBRYONIC_IPV6")]);
}

impl FlowTable {
    /// Opens the pinned maps.
    pub fn open(folder: &PinFolder, names: FlowMapNames) -> Result<Self, MapsError> {
        Self::open_by(open_data, folder, names)
    }

    /// Opens the pinned maps read-only: the kernel refuses every write.
    pub fn open_read_only(folder: &PinFolder, names: FlowMapNames) -> Result<Self, MapsError> {
        Self::open_by(open_data_read_only, folder, names)
    }

    fn open_by(opener: Opener, folder: &PinFolder, names: FlowMapNames) -> Result<Self, MapsError> {
        let FlowMapNames([ipv4, ipv6]) = names;
        Ok(Self { ipv4: Entries::open(opener, folder, ipv4)?, ipv6: Entries::open(opener, folder, ipv6)? })
    }

    /// Returns every entry with its tuple, IPv4 first. If programs write concurrently, an entry may appear twice, and one that
    /// is inserted or removed during the iteration may be missing.
    pub fn entries(&self) -> impl Iterator<Item = Result<(Tuple, ConntrackEntry), MapError>> {
        self.ipv4.entries().chain(self.ipv6.entries())
    }

    /// Returns how many entries the table can hold.
    pub fn capacity(&self) -> usize {
        self.ipv4.capacity + self.ipv6.capacity
    }

    /// Inserts a new flow into the hash: only the programs assign buckets while they run.
    pub fn insert(&mut self, tuple: &Tuple, flow: &ConntrackEntry) -> Result<(), MapError> {
        if is_ipv4(tuple) { self.ipv4.insert(tuple, flow) } else { self.ipv6.insert(tuple, flow) }
    }

    /// Inserts or replaces a flow where the programs would put it. The programs must not write at the same time.
    pub fn put(&mut self, tuple: &Tuple, flow: &ConntrackEntry) -> Result<(), MapError> {
        if is_ipv4(tuple) { self.ipv4.put(tuple, flow) } else { self.ipv6.put(tuple, flow) }
    }

    /// Reserves the key of a flow of another set of programs, unless the key is taken.
    pub fn reserve(&mut self, tuple: &Tuple, flow: &ConntrackEntry) -> Result<(), MapError> {
        let meta = EntryMeta { flags: flow.meta.flags | EntryMeta::RESERVED, ..flow.meta };
        self.insert(tuple, &ConntrackEntry { meta, ..*flow })
    }

    /// Returns the entry of a tuple that has not expired at `now` (jiffies), unless it only reserves a key.
    pub fn find(&self, tuple: &Tuple, now: u32) -> Result<Option<ConntrackEntry>, MapError> {
        if is_ipv4(tuple) { self.ipv4.find(tuple, now) } else { self.ipv6.find(tuple, now) }
    }

    /// Whether a tuple has an entry that has not expired at `now` (jiffies), not only a reserved key.
    pub fn holds(&self, tuple: &Tuple, now: u32) -> Result<bool, MapError> {
        if is_ipv4(tuple) { self.ipv4.holds(tuple, now) } else { self.ipv6.holds(tuple, now) }
    }

    /// Inserts a flow as [`insert`](Self::insert) does, also under a reserved key. Does nothing if the table has the flow alive,
    /// or expired in another state: then it has ended since. `now` is in jiffies. Programs may write concurrently.
    pub fn follow(&mut self, tuple: &Tuple, flow: &ConntrackEntry, now: u32) -> Result<(), MapError> {
        if is_ipv4(tuple) { self.ipv4.follow(tuple, flow, now) } else { self.ipv6.follow(tuple, flow, now) }
    }

    /// Removes what [`follow`](Self::follow) has inserted.
    pub fn withdraw(&mut self, tuple: &Tuple) {
        // An absent entry needs no removal.
        let _ = if is_ipv4(tuple) { self.ipv4.withdraw(tuple) } else { self.ipv6.withdraw(tuple) };
    }

    /// Removes the entry of a tuple. The programs must not write at the same time.
    pub fn remove(&mut self, tuple: &Tuple) -> Result<(), MapError> {
        if is_ipv4(tuple) { self.ipv4.remove(tuple) } else { self.ipv6.remove(tuple) }
    }
}

fn is_ipv4(tuple: &Tuple) -> bool {
    tuple.destination.is_ipv4()
}

impl<E: Stored<Key: Pod, Bucket: Pod> + Pod> Entries<E> {
    fn open(
        opener: Opener,
        folder: &PinFolder,
        (buckets, map): (Option<&'static str>, &'static str),
    ) -> Result<Self, MapsError> {
        let open_buckets = |name| {
            Ok(Buckets {
                array: typed(opener(folder, name)?, name)?,
                map: opener(folder, name)?,
                overflow: typed(opener(folder, "OVERFLOW")?, "OVERFLOW")?,
            })
        };
        let data = opener(folder, map)?;
        let info = data.info().map_err(|source| MapsError::Type { name: map, source })?;
        let buckets = buckets.map(open_buckets).transpose()?;
        let capacity = buckets.as_ref().map_or(0, |buckets| buckets.array.len()) + info.max_entries();
        Ok(Self { buckets, map: typed(data, map)?, capacity: capacity as usize })
    }

    fn entries(&self) -> impl Iterator<Item = Result<(Tuple, ConntrackEntry), MapError>> {
        let buckets = self.buckets.iter().flat_map(|buckets| {
            let starts = (0..buckets.array.len()).step_by(BATCH as usize);
            starts.flat_map(|start| match bpf::read_array::<E::Bucket>(buckets.map.fd(), start, BATCH) {
                Ok(batch) => {
                    let full = batch.into_iter().filter(|bucket| !bucket.is_empty());
                    full.map(|bucket| Ok(widen(bucket.key(), bucket.entry()))).collect()
                }
                Err(error) => vec![Err(MapError::from(error))],
            })
        });
        buckets.chain(self.map.iter().map(|entry| entry.map(|(key, entry)| widen(&key, &entry))))
    }

    /// Returns the bucket of a tuple's entry, if it has one, and otherwise an empty bucket of its set, if there is one.
    fn bucket(&self, tuple: &Tuple) -> Result<(Option<u32>, Option<u32>), MapError> {
        let Some(Buckets { array: buckets, .. }) = &self.buckets else { return Ok((None, None)) };
        let key = E::key(tuple);
        let place = E::Bucket::place(key.borrow(), buckets.len() / 2);
        let mut free = None;
        for index in [place.home, place.neighbour()] {
            let bucket = buckets.get(&index, 0)?;
            if bucket.is_of(key.borrow()) {
                return Ok((Some(index), None));
            }
            free = free.or(bucket.is_empty().then_some(index));
        }
        Ok((None, free))
    }

    fn insert(&mut self, tuple: &Tuple, flow: &ConntrackEntry) -> Result<(), MapError> {
        const BPF_NOEXIST: u64 = 1;
        if self.bucket(tuple)?.0.is_some() {
            return Err(MapError::from(std::io::Error::from_raw_os_error(libc::EEXIST)));
        }
        self.note_overflow(tuple)?;
        self.map.insert(E::key(tuple).borrow(), E::narrow(flow).borrow(), BPF_NOEXIST)
    }

    fn holds(&self, tuple: &Tuple, now: u32) -> Result<bool, MapError> {
        Ok(self.metadata(tuple)?.into_iter().flatten().any(|meta| !meta.is_expired(now) && !is_reserved(&meta)))
    }

    fn follow(&mut self, tuple: &Tuple, flow: &ConntrackEntry, now: u32) -> Result<(), MapError> {
        let is_known =
            |meta: EntryMeta| !is_reserved(&meta) && (!meta.is_expired(now) || meta.state() != flow.meta.state());
        if self.metadata(tuple)?.into_iter().flatten().any(is_known) {
            return Ok(());
        }
        self.note_overflow(tuple)?;
        self.map.insert(E::key(tuple).borrow(), E::narrow(flow).borrow(), 0)
    }

    fn withdraw(&mut self, tuple: &Tuple) -> Result<(), MapError> {
        self.map.remove(E::key(tuple).borrow())
    }

    fn find(&self, tuple: &Tuple, now: u32) -> Result<Option<ConntrackEntry>, MapError> {
        let is_live = |entry: &E| !entry.meta().is_expired(now) && !is_reserved(entry.meta());
        let found = self.stored(tuple)?.into_iter().flatten().find(is_live);
        Ok(found.map(|entry| widen(E::key(tuple).borrow(), &entry).1))
    }

    /// Returns the metadata of a tuple's entries: in its bucket and in the hash.
    fn metadata(&self, tuple: &Tuple) -> Result<[Option<EntryMeta>; 2], MapError> {
        Ok(self.stored(tuple)?.map(|entry| entry.map(|entry| *entry.meta())))
    }

    /// Returns a tuple's entries: in its bucket and in the hash.
    fn stored(&self, tuple: &Tuple) -> Result<[Option<E>; 2], MapError> {
        let in_bucket = match (self.bucket(tuple)?.0, &self.buckets) {
            (Some(index), Some(Buckets { array: buckets, .. })) => Some(*buckets.get(&index, 0)?.entry()),
            _ => None,
        };
        let in_hash = match self.map.get(E::key(tuple).borrow(), 0) {
            Err(MapError::KeyNotFound) => None,
            entry => Some(entry?),
        };
        Ok([in_bucket, in_hash])
    }

    /// Makes programs look for the tuple's entry in the hash, too.
    fn note_overflow(&mut self, tuple: &Tuple) -> Result<(), MapError> {
        let Some(buckets) = &mut self.buckets else { return Ok(()) };
        let place = E::Bucket::place(E::key(tuple).borrow(), buckets.array.len() / 2);
        buckets.overflow.set(place.set(), 1, 0)
    }

    fn put(&mut self, tuple: &Tuple, flow: &ConntrackEntry) -> Result<(), MapError> {
        let (found, free) = self.bucket(tuple)?;
        let (key, entry) = (E::key(tuple), E::narrow(flow));
        let (Some(index), Some(Buckets { array: buckets, .. })) = (found.or(free), &mut self.buckets) else {
            self.note_overflow(tuple)?;
            return self.map.insert(key.borrow(), entry.borrow(), 0);
        };
        let mut bucket = buckets.get(&index, 0)?;
        bucket.fill(key.borrow(), entry.borrow());
        *bucket.version() = E::Bucket::version_of(E::Bucket::place(key.borrow(), buckets.len() / 2), entry.borrow());
        buckets.set(index, bucket, 0)?;
        absent_is_removed(self.map.remove(key.borrow()))
    }

    fn remove(&mut self, tuple: &Tuple) -> Result<(), MapError> {
        if let ((Some(index), _), Some(Buckets { array: buckets, .. })) = (self.bucket(tuple)?, &mut self.buckets) {
            let mut bucket = buckets.get(&index, 0)?;
            bucket.clear();
            buckets.set(index, bucket, 0)?;
        }
        absent_is_removed(self.map.remove(E::key(tuple).borrow()))
    }
}

const fn is_reserved(meta: &EntryMeta) -> bool {
    meta.flags & EntryMeta::RESERVED != 0
}

/// Converts a key and an entry from the maps' layout.
pub(crate) fn widen<E: Stored>(key: &E::Key, entry: &E) -> (Tuple, ConntrackEntry) {
    let mut flow = ConntrackEntry::default();
    entry.widen(&mut flow);
    (E::tuple(key), flow)
}

fn absent_is_removed(removal: Result<(), MapError>) -> Result<(), MapError> {
    match removal {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        removal => removal,
    }
}
