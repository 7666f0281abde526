//! Reads or writes many entries of a map with one system call.

use std::{io, os::fd::AsFd};

use aya::maps::{MapData, MapError};

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
    const STRIDE_UNIT: usize = 8;
    const { assert!(size_of::<T>().is_multiple_of(STRIDE_UNIT), "the kernel would round elements up") };
    let (mut keys, mut values) = (vec![0_u32; count as usize], vec![T::default(); count as usize]);
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
    values.truncate(attributes.count as usize);
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

/// Reads the entries of a hash, at most about as many as its size, and calls `each` with the bytes of each key and value. While
/// programs write, an entry may be missing or be read twice. The kernel holds the lock of one chain at a time.
pub fn each_entry(map: &MapData, mut each: impl FnMut(&[u8], &[u8])) -> Result<(), MapError> {
    const COUNT: u32 = 4096;
    let info = map.info()?;
    let (key_size, value_size) = (info.key_size() as usize, info.value_size() as usize);
    let mut keys = vec![0_u8; key_size * COUNT as usize];
    let mut values = vec![0_u8; value_size * COUNT as usize];
    let (mut chain, mut next) = (0_u32, 0_u32);
    let mut left = u64::from(info.max_entries());
    while left > 0 {
        let mut attributes = Batch {
            start: (&raw const chain) as u64,
            next: (&raw mut next) as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: COUNT,
            map: raw_fd(&map.fd())?,
            ..Batch::default()
        };
        // SAFETY: keys and values have room for `COUNT` elements of the map's sizes.
        let has_more = unsafe { look_up(&mut attributes) }?;
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
