//! Reads whole maps in batches. Every map is opened read-only.

use aya::maps::MapError;
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
