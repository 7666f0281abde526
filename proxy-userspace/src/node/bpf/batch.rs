//! Many elements of a map by one system call.

use std::{io, os::fd::AsFd};

use aya::maps::{MapData, MapError};

use super::raw_fd;

const BPF_MAP_LOOKUP_BATCH: libc::c_int = 24;

/// `bpf_attr` of BPF_MAP_LOOKUP_BATCH (include/uapi/linux/bpf.h).
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

/// Reads `count` elements of an array map from `start` on, or fewer at the end of the map.
pub fn read_array<T: aya::Pod + Default>(map: impl AsFd, start: u32, count: u32) -> io::Result<Vec<T>> {
    const STRIDE_UNIT: usize = 8;
    const { assert!(size_of::<T>().is_multiple_of(STRIDE_UNIT), "the kernel would round elements up") };
    let (mut keys, mut values) = (vec![0_u32; count as usize], vec![T::default(); count as usize]);
    // The kernel continues after the key that it is given.
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
    look_up(&mut attributes)?;
    values.truncate(attributes.count as usize);
    Ok(values)
}

/// Reads the entries of a hash, as many as it has room for at most, and gives the bytes of each key and value to `each`. While
/// programs write, an entry may be missing or come twice. The kernel holds the lock of one bucket at a time.
pub fn read_hash(map: &MapData, mut each: impl FnMut(&[u8], &[u8])) -> Result<(), MapError> {
    const COUNT: u32 = 4096;
    let info = map.info()?;
    let (key_size, value_size) = (info.key_size() as usize, info.value_size() as usize);
    let mut keys = vec![0_u8; key_size * COUNT as usize];
    let mut values = vec![0_u8; value_size * COUNT as usize];
    // The kernel's own notion of a place.
    let (mut place, mut next) = (0_u32, 0_u32);
    let mut left = u64::from(info.max_entries());
    let mut is_first = true;
    while left > 0 {
        let mut attributes = Batch {
            start: if is_first { 0 } else { (&raw const place) as u64 },
            next: (&raw mut next) as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: COUNT,
            map: raw_fd(&map.fd())?,
            ..Batch::default()
        };
        let end = look_up(&mut attributes)?;
        let read = keys.chunks_exact(key_size).zip(values.chunks_exact(value_size)).take(attributes.count as usize);
        read.for_each(|(key, value)| each(key, value));
        if end {
            break;
        }
        left = left.saturating_sub(attributes.count.into());
        (place, is_first) = (next, false);
    }
    Ok(())
}

/// Returns whether the end of the map is reached.
fn look_up(attributes: &mut Batch) -> io::Result<bool> {
    // SAFETY: the kernel reads and writes `attributes` and what they point to, as many elements as there is room for.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_MAP_LOOKUP_BATCH, &raw mut *attributes, size_of::<Batch>()) };
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        _ if result >= 0 => Ok(false),
        // There is no next key.
        Some(libc::ENOENT) => Ok(true),
        _ => Err(error),
    }
}
