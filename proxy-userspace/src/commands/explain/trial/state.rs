//! Copies into the private maps what the packet may meet of the instance's state: flows of its family, ports of source
//! translation, and what is remembered of the client. Live maps are opened read-only.

use aya::{
    Ebpf, Pod,
    maps::{Array, HashMap, Map, MapData, MapError},
};
use proxy_common::{
    Affinity, AffinityKey, ConntrackEntry, FlowBucket, Ipv4Bucket, Ipv4ConntrackEntry, Ipv4Tuple, Ipv6Bucket, Tuple,
};

use super::not_run::NotRun;
use crate::{
    maps::{PinFolder, open_data_read_only, open_read_only},
    node::bpf::{self, MappedArray},
};

/// How many elements are read or written with one system call.
const BATCH: u32 = 4096;

/// What tells which state the packet may meet.
#[derive(Clone, Copy, Debug)]
pub struct Relevant {
    /// Whether it is an IPv4 packet.
    pub is_ipv4: bool,
    /// The port that it is sent to.
    pub port: u16,
    /// The key under which the client's backend is remembered; `None` without session affinity.
    pub client: Option<AffinityKey>,
}

/// Copies the state.
pub fn copy(folder: &PinFolder, ebpf: &mut Ebpf, relevant: &Relevant) -> Result<(), NotRun> {
    if relevant.is_ipv4 {
        copy_buckets::<Ipv4Bucket>(folder, ebpf, "FLOW_BUCKETS_IPV4")?;
        copy_hash::<Ipv4Tuple, Ipv4ConntrackEntry>(folder, ebpf, "CONNTRACK_IPV4")?;
        copy_hash::<Ipv4Tuple, Ipv4ConntrackEntry>(folder, ebpf, "EMBRYONIC_IPV4")?;
    } else {
        copy_buckets::<Ipv6Bucket>(folder, ebpf, "FLOW_BUCKETS_IPV6")?;
        copy_hash::<Tuple, ConntrackEntry>(folder, ebpf, "CONNTRACK_IPV6")?;
        copy_hash::<Tuple, ConntrackEntry>(folder, ebpf, "EMBRYONIC_IPV6")?;
    }
    copy_marks(folder, ebpf, "OVERFLOW", None)?;
    copy_marks(folder, ebpf, "SNAT_PORTS", Some(relevant.port.into()))?;
    relevant.client.map_or(Ok(()), |client| copy_memory(folder, ebpf, &client))
}

/// Copies the buckets that hold flows. A program may write a bucket while it is read: then that one flow may be missing, or be
/// found as it was.
fn copy_buckets<B: FlowBucket + Pod>(folder: &PinFolder, ebpf: &Ebpf, name: &'static str) -> Result<(), NotRun> {
    let (live, copy) = (open_data_read_only(folder, name).map_err(NotRun::Maps)?, private(ebpf, name)?);
    let failed = |error: std::io::Error| NotRun::Read(error.into());
    let length = live.info().map_err(NotRun::Read)?.max_entries();
    let mut copy = MappedArray::<B>::new(copy.fd(), length).map_err(failed)?;
    for start in (0..length).step_by(BATCH as usize) {
        let batch = bpf::read_array::<B>(live.fd(), start, BATCH).map_err(failed)?;
        for (index, bucket) in (start..).zip(batch).filter(|(_, bucket)| !bucket.is_empty()) {
            copy.set(index, bucket);
        }
    }
    Ok(())
}

fn copy_hash<K: bytemuck::Pod, V: bytemuck::Pod>(
    folder: &PinFolder,
    ebpf: &Ebpf,
    name: &'static str,
) -> Result<(), NotRun> {
    let (live, copy) = (open_data_read_only(folder, name).map_err(NotRun::Maps)?, private(ebpf, name)?);
    let mut entries: Vec<(K, V)> = Vec::new();
    let read = |key: &[u8], value: &[u8]| {
        entries.push((bytemuck::pod_read_unaligned(key), bytemuck::pod_read_unaligned(value)));
    };
    bpf::each_entry(&live, read).map_err(NotRun::Read)?;
    let mut batches = entries.chunks(BATCH as usize);
    batches.try_for_each(|batch| bpf::write_hash(copy.fd(), batch)).map_err(|error| NotRun::Read(error.into()))
}

/// Copies the elements of an array of marks that are set, or one of them.
fn copy_marks(folder: &PinFolder, ebpf: &mut Ebpf, name: &'static str, only: Option<u32>) -> Result<(), NotRun> {
    let live: Array<MapData, u8> = open_read_only(folder, name).map_err(NotRun::Maps)?;
    let mut copy: Array<_, u8> = typed(ebpf, name)?;
    let mut range = only.map_or(0..live.len(), |index| index..index + 1);
    let mut copy_one = |index| match live.get(&index, 0)? {
        0 => Ok(()),
        mark => copy.set(index, mark, 0),
    };
    range.try_for_each(&mut copy_one).map_err(NotRun::Read)
}

fn copy_memory(folder: &PinFolder, ebpf: &mut Ebpf, client: &AffinityKey) -> Result<(), NotRun> {
    const NAME: &str = "AFFINITY";
    let live: HashMap<MapData, AffinityKey, Affinity> = open_read_only(folder, NAME).map_err(NotRun::Maps)?;
    match live.get(client, 0) {
        Err(MapError::KeyNotFound) => Ok(()),
        entry => {
            let mut copy: HashMap<_, AffinityKey, Affinity> = typed(ebpf, NAME)?;
            entry.and_then(|entry| copy.insert(client, entry, 0)).map_err(NotRun::Read)
        }
    }
}

/// Returns a private map as one of its type.
pub fn typed<'a, M: TryFrom<&'a mut Map, Error = MapError>>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
) -> Result<M, NotRun> {
    let missing = || MapError::InvalidName { name: name.to_owned() };
    ebpf.map_mut(name).ok_or_else(missing).and_then(M::try_from).map_err(NotRun::Read)
}

fn private<'a>(ebpf: &'a Ebpf, name: &'static str) -> Result<&'a MapData, NotRun> {
    match ebpf.map(name) {
        Some(Map::Array(map) | Map::HashMap(map) | Map::LruHashMap(map)) => Ok(map),
        _ => Err(NotRun::Read(MapError::InvalidName { name: name.to_owned() })),
    }
}
