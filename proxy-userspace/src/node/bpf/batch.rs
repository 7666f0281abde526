//! Reads or writes many entries of a map with one system call: hashes since Linux 5.6, arrays with values for each CPU since 5.13.

use std::{io, os::fd::AsFd};

use aya::{
    maps::{MapData, MapError},
    util::nr_cpus,
};

use super::raw_fd;

const BPF_MAP_LOOKUP_BATCH: libc::c_int = 24;
const BPF_MAP_UPDATE_BATCH: libc::c_int = 26;

/// `bpf_attr` of BPF_MAP_LOOKUP_BATCH and BPF_MAP_UPDATE_BATCH (include/uapi/linux/bpf.h).
#[repr(C)]
#[derive(Default)]
struct Batch {
    start: u64,
    next: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

/// Reads `count` elements of an array map from index `start` on, or fewer at the end of the map.
pub fn read_array<T: aya::Pod + Default>(map: impl AsFd, start: u32, count: u32) -> io::Result<Vec<T>> {
    read_values(map, start, count, 1)
}

/// Reads elements of an array map with values for each CPU, as [`read_array`] does: each element is a value for each possible CPU.
pub fn read_per_cpu_array<T: aya::Pod + Default>(map: impl AsFd, start: u32, count: u32) -> io::Result<Vec<Vec<T>>> {
    const STRIDE_UNIT: usize = 8;
    const { assert!(size_of::<T>().is_multiple_of(STRIDE_UNIT), "the kernel would round values up") };
    let cpus = nr_cpus().map_err(|(_, error)| error)?;
    Ok(read_values(map, start, count, cpus)?.chunks_exact(cpus).map(<[T]>::to_vec).collect())
}

/// Reads elements of an array, each of which is this many values.
fn read_values<T: aya::Pod + Default>(
    map: impl AsFd,
    start: u32,
    count: u32,
    values_of_each: usize,
) -> io::Result<Vec<T>> {
    let (mut keys, mut values) = (vec![0_u32; count as usize], vec![T::default(); count as usize * values_of_each]);
    // The kernel starts after the given key.
    let before = start.wrapping_sub(1);
    let mut next = 0_u32;
    let mut attributes = Batch {
        start: if start == 0 { 0 } else { (&raw const before) as u64 },
        next: (&raw mut next) as u64,
        keys: keys.as_mut_ptr() as u64,
        values: values.as_mut_ptr() as u64,
        count,
        map: raw_fd(&map)?,
        ..Batch::default()
    };
    // SAFETY: keys and values have room for `count` elements of the map's types.
    unsafe { look_up(&mut attributes) }?;
    values.truncate(attributes.count as usize * values_of_each);
    Ok(values)
}

/// Entries of a hash, and the number of the chain after theirs; `None` at the end of the map.
pub type Chains<K, V> = (Vec<(K, V)>, Option<u32>);

/// Reads at most `count` entries of a hash, in whole chains from number `chain` on. A hash has as many chains as its size rounded
/// up to a power of two, and batches continue at a chain's number (kernel/bpf/hashtab.c). Reading does not count as use for the
/// eviction from LRU maps. Fails with ENOSPC if the first chain is longer than `count`.
pub fn read_hash<K: bytemuck::Pod, V: bytemuck::Pod>(
    map: impl AsFd,
    chain: u32,
    count: u32,
) -> io::Result<Chains<K, V>> {
    let (mut keys, mut values) = (vec![K::zeroed(); count as usize], vec![V::zeroed(); count as usize]);
    let mut next = 0_u32;
    let mut attributes = Batch {
        start: (&raw const chain) as u64,
        next: (&raw mut next) as u64,
        keys: keys.as_mut_ptr() as u64,
        values: values.as_mut_ptr() as u64,
        count,
        map: raw_fd(&map)?,
        ..Batch::default()
    };
    // SAFETY: keys and values have room for `count` elements of the map's types.
    let has_more = unsafe { look_up(&mut attributes) }?;
    let entries = keys.into_iter().zip(values).take(attributes.count as usize).collect();
    Ok((entries, has_more.then_some(next)))
}

/// Reads the entries of a hash, and calls `each` with the bytes of each key and value. While programs write, an entry that is there
/// all the time is read once: the kernel locks a chain while it reads it, and a key never changes its chain. At most about as many
/// entries are read as the map has room for.
pub fn each_entry(map: &MapData, each: impl FnMut(&[u8], &[u8])) -> Result<(), MapError> {
    each_entry_by(map, 4096, each)
}

/// Reads the entries of a hash as [`each_entry`] does, `count` with one system call, or as many as the longest chain needs.
fn each_entry_by(map: &MapData, mut count: u32, mut each: impl FnMut(&[u8], &[u8])) -> Result<(), MapError> {
    let info = map.info()?;
    let (key_size, value_size) = (info.key_size() as usize, info.value_size() as usize);
    let mut keys = vec![0_u8; key_size * count as usize];
    let mut values = vec![0_u8; value_size * count as usize];
    let (mut chain, mut next) = (0_u32, 0_u32);
    let mut left = u64::from(info.max_entries());
    while left > 0 {
        let mut attributes = Batch {
            start: (&raw const chain) as u64,
            next: (&raw mut next) as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count,
            map: raw_fd(&map.fd())?,
            ..Batch::default()
        };
        // SAFETY: keys and values have room for `count` elements of the map's sizes.
        let has_more = match unsafe { look_up(&mut attributes) } {
            // The next chain is longer.
            Err(error) if error.raw_os_error() == Some(libc::ENOSPC) && count < info.max_entries() => {
                count = count.saturating_mul(4).min(info.max_entries());
                keys.resize(key_size * count as usize, 0);
                values.resize(value_size * count as usize, 0);
                continue;
            }
            looked_up => looked_up?,
        };
        let read = keys.chunks_exact(key_size).zip(values.chunks_exact(value_size)).take(attributes.count as usize);
        read.for_each(|(key, value)| each(key, value));
        if !has_more {
            break;
        }
        left = left.saturating_sub(attributes.count.into());
        chain = next;
    }
    Ok(())
}

/// Writes entries into a hash, replacing existing ones.
pub fn write_hash<K: bytemuck::Pod, V: bytemuck::Pod>(map: impl AsFd, entries: &[(K, V)]) -> io::Result<()> {
    let (keys, values): (Vec<K>, Vec<V>) = entries.iter().copied().unzip();
    let mut attributes = Batch {
        keys: keys.as_ptr() as u64,
        values: values.as_ptr() as u64,
        count: u32::try_from(entries.len()).map_err(io::Error::other)?,
        map: raw_fd(&map)?,
        ..Batch::default()
    };
    if entries.is_empty() {
        return Ok(());
    }
    // SAFETY: the kernel reads `attributes` and as many keys and values of the map's types as there are entries.
    let result = unsafe { libc::syscall(libc::SYS_bpf, BPF_MAP_UPDATE_BATCH, &raw mut attributes, size_of::<Batch>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Looks up a batch. Returns true if the map has more entries after it: at the end, the kernel fails with ENOENT.
///
/// # Safety
///
/// `keys` and `values` must point to memory for at least `count` elements of the map's types.
unsafe fn look_up(attributes: &mut Batch) -> io::Result<bool> {
    let attributes = std::ptr::from_mut(attributes);
    // SAFETY: the kernel reads and writes `attributes` and at most `count` elements at the pointers in it.
    let result = unsafe { libc::syscall(libc::SYS_bpf, BPF_MAP_LOOKUP_BATCH, attributes, size_of::<Batch>()) };
    let error = io::Error::last_os_error();
    match (result, error.raw_os_error()) {
        (0.., _) => Ok(true),
        (_, Some(libc::ENOENT)) => Ok(false),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        os::fd::{FromRawFd as _, OwnedFd},
    };

    use aya::maps::{Array, HashMap, IterableMap as _, Map, PerCpuArray, PerCpuValues};

    use super::*;

    const HASH: u32 = 1;
    const ARRAY: u32 = 2;
    const PER_CPU_ARRAY: u32 = 6;
    const LRU_HASH: u32 = 9;

    /// The beginning of `bpf_attr` of BPF_MAP_CREATE.
    #[repr(C)]
    #[derive(Default)]
    struct MapCreate {
        kind: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
        flags: u32,
    }

    /// Creates a map; `None` if this process may not.
    fn create<M: TryFrom<Map, Error = MapError>>(kind: u32, value_size: u32, max_entries: u32) -> Option<M> {
        const BPF_MAP_CREATE: libc::c_int = 0;
        let attributes = MapCreate { kind, key_size: 4, value_size, max_entries, flags: 0 };
        let fd = match super::super::bpf(BPF_MAP_CREATE, &attributes) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return None,
            fd => fd.unwrap(),
        };
        // SAFETY: the kernel has just created this descriptor, and no other code owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let map = MapData::from_fd(fd).and_then(Map::from_map_data).and_then(M::try_from);
        Some(map.unwrap())
    }

    #[test]
    fn every_entry_of_a_hash_is_read_once_also_from_chains_longer_than_a_batch() {
        const ENTRIES: u32 = 1000;
        for kind in [HASH, LRU_HASH] {
            let Some(mut map) = create::<HashMap<MapData, u32, u64>>(kind, 8, 4 * ENTRIES) else { return };
            for key in 0..ENTRIES {
                map.insert(key, u64::from(key) << 40, 0).unwrap();
            }
            for count in [1, 7, 4096] {
                let mut found = Vec::new();
                let each = |key: &[u8], value: &[u8]| {
                    let key: u32 = bytemuck::pod_read_unaligned(key);
                    assert_eq!(bytemuck::pod_read_unaligned::<u64>(value), u64::from(key) << 40);
                    found.push(key);
                };
                each_entry_by(map.map(), count, each).unwrap();
                assert_eq!(found.len(), ENTRIES as usize, "map type {kind}, {count} at once");
                assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), (0..ENTRIES).collect());
            }
        }
    }

    #[test]
    fn elements_of_arrays_are_read_from_anywhere_to_the_end() {
        let Some(mut map) = create::<Array<MapData, u32>>(ARRAY, 4, 10) else { return };
        let mut per_cpu = create::<PerCpuArray<MapData, u64>>(PER_CPU_ARRAY, 8, 10).unwrap();
        let cpus = nr_cpus().unwrap();
        for index in 0..10 {
            map.set(index, index + 100, 0).unwrap();
            let values =
                PerCpuValues::try_from((0..cpus as u64).map(|cpu| cpu << 32 | u64::from(index)).collect::<Vec<_>>());
            per_cpu.set(index, values.unwrap(), 0).unwrap();
        }
        assert_eq!(read_array::<u32>(map.map().fd(), 0, 3).unwrap(), [100, 101, 102]);
        assert_eq!(read_array::<u32>(map.map().fd(), 8, 5).unwrap(), [108, 109]);
        let last = read_per_cpu_array::<u64>(per_cpu.map().fd(), 8, 5).unwrap();
        let element = |index| (0..cpus as u64).map(|cpu| cpu << 32 | index).collect::<Vec<_>>();
        assert_eq!(last, [element(8), element(9)]);
    }
}
