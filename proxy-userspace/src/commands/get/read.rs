//! Reads whole maps in batches. Every map is opened read-only.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::Range,
};

use aya::maps::{MapData, MapError};
use bytemuck::AnyBitPattern;

use super::InspectError;
use crate::{
    maps::{PinFolder, open_data_read_only},
    node::bpf,
};

/// How many array elements are read with one system call.
const BATCH: u32 = 4096;

/// Calls `each` for the entries of a hash.
pub fn each_entry<K: AnyBitPattern, V: AnyBitPattern>(
    folder: &PinFolder,
    name: &'static str,
    mut each: impl FnMut(K, V),
) -> Result<(), InspectError> {
    let read = |key: &[u8], value: &[u8]| each(bytemuck::pod_read_unaligned(key), bytemuck::pod_read_unaligned(value));
    bpf::each_entry(&open_data_read_only(folder, name)?, read).map_err(|source| InspectError::Read { name, source })
}

/// Calls `each` for the elements of an array, in the order of their indexes.
pub fn each_element<T: aya::Pod + Default>(
    folder: &PinFolder,
    name: &'static str,
    mut each: impl FnMut(T),
) -> Result<(), InspectError> {
    let failed = |source: MapError| InspectError::Read { name, source };
    let map = open_data_read_only(folder, name)?;
    let length = map.info().map_err(failed)?.max_entries();
    for start in (0..length).step_by(BATCH as usize) {
        let batch = bpf::read_array::<T>(map.fd(), start, BATCH).map_err(|error| failed(error.into()))?;
        batch.into_iter().for_each(&mut each);
    }
    Ok(())
}

/// Returns the elements of an array in these ranges, by index. Indexes past the end are left out.
pub fn elements_at<T: aya::Pod + Default>(
    folder: &PinFolder,
    name: &'static str,
    ranges: impl Iterator<Item = Range<u32>>,
) -> Result<BTreeMap<u32, T>, InspectError> {
    read_at(folder, name, ranges, |map, start| bpf::read_array(map.fd(), start, BATCH))
}

/// Returns the elements of an array with values for each CPU, as [`elements_at`] does.
pub fn per_cpu_elements_at<T: aya::Pod + Default>(
    folder: &PinFolder,
    name: &'static str,
    ranges: impl Iterator<Item = Range<u32>>,
) -> Result<BTreeMap<u32, Vec<T>>, InspectError> {
    read_at(folder, name, ranges, |map, start| bpf::read_per_cpu_array(map.fd(), start, BATCH))
}

/// Reads only the batches in which there is an index that is asked for.
fn read_at<T>(
    folder: &PinFolder,
    name: &'static str,
    ranges: impl Iterator<Item = Range<u32>>,
    read: impl Fn(&MapData, u32) -> io::Result<Vec<T>>,
) -> Result<BTreeMap<u32, T>, InspectError> {
    let failed = |source: MapError| InspectError::Read { name, source };
    let map = open_data_read_only(folder, name)?;
    let length = map.info().map_err(failed)?.max_entries();
    let wanted: BTreeSet<u32> = ranges.flat_map(|range| range.start..range.end.min(length)).collect();
    let mut elements = BTreeMap::new();
    let mut next = wanted.first().copied();
    while let Some(start) = next {
        let batch = read(&map, start).map_err(|error| failed(error.into()))?;
        elements.extend((start..).zip(batch).filter(|(index, _)| wanted.contains(index)));
        next = start.checked_add(BATCH).and_then(|end| wanted.range(end..).next().copied());
    }
    Ok(elements)
}
