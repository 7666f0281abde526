//! Reads one element of a map of any type, as bytes.

use std::io;

use aya::{
    maps::{MapData, MapError},
    util::nr_cpus,
};

use super::{bpf, raw_fd};

const BPF_MAP_LOOKUP_ELEM: libc::c_int = 1;
/// The kernel returns the value of each processor, rounded up to this many bytes.
const STRIDE: usize = 8;

/// `bpf_attr` of BPF_MAP_LOOKUP_ELEM (include/uapi/linux/bpf.h).
#[repr(C)]
#[derive(Default)]
struct Lookup {
    map: u32,
    _pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// Reads the value at `key`; `None` if the map has none there. The value of a program array's element is the program's id. Fails if
/// `key` has not the size of the map's keys.
pub fn read_element(map: &MapData, key: &[u8]) -> Result<Option<Vec<u8>>, MapError> {
    let info = map.info()?;
    let (key_size, value_size) = (info.key_size() as usize, info.value_size() as usize);
    if key.len() != key_size {
        return Err(MapError::InvalidKeySize { size: key.len(), expected: key_size });
    }
    let processors = nr_cpus().map_err(|(_, error)| error)?;
    let mut value = vec![0_u8; value_size.next_multiple_of(STRIDE) * processors];
    let attributes = Lookup {
        map: raw_fd(&map.fd())?,
        key: key.as_ptr() as u64,
        value: value.as_mut_ptr() as u64,
        ..Lookup::default()
    };
    // The kernel reads a key, and writes at most one value for each processor.
    match bpf(BPF_MAP_LOOKUP_ELEM, &attributes) {
        Ok(_) => {
            value.truncate(value_size);
            Ok(Some(value))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
