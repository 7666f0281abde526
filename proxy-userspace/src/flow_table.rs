//! CONNTRACK or HALF_OPEN of both families as one table.

use std::borrow::Borrow as _;

use aya::{
    Pod,
    maps::{HashMap, MapData, MapError},
};
use proxy_common::{Conntrack, Ipv4Conntrack, Stored, Tuple};

use crate::maps::{MapsError, PinFolder, open};

/// The two maps.
pub struct FlowTable {
    ipv4: Entries<Ipv4Conntrack>,
    ipv6: Entries<Conntrack>,
}

type Entries<E> = HashMap<MapData, <E as Stored>::Key, E>;

/// The pinned maps of a table.
#[derive(Clone, Copy, Debug)]
pub struct Names(&'static str, &'static str);

impl Names {
    /// Flows that both sides have confirmed.
    pub const CONNTRACK: Self = Self("CONNTRACK_IPV4", "CONNTRACK_IPV6");
    /// Flows that nobody has confirmed yet.
    pub const HALF_OPEN: Self = Self("HALF_OPEN_IPV4", "HALF_OPEN_IPV6");
}

impl FlowTable {
    /// Opens the pinned maps.
    pub fn open(folder: &PinFolder, Names(ipv4, ipv6): Names) -> Result<Self, MapsError> {
        Ok(Self { ipv4: open(folder, ipv4)?, ipv6: open(folder, ipv6)? })
    }

    /// Every key, IPv4 first. While programs write, a key may come twice, and one that comes or goes meanwhile may be
    /// missing.
    pub fn keys(&self) -> impl Iterator<Item = Result<Tuple, MapError>> {
        keys(&self.ipv4).chain(keys(&self.ipv6))
    }

    /// The entry of a packet.
    pub fn get(&self, tuple: &Tuple) -> Result<Conntrack, MapError> {
        if is_ipv4(tuple) { get(&self.ipv4, tuple) } else { get(&self.ipv6, tuple) }
    }

    /// Enters a flow; `flags` are those of `BPF_MAP_UPDATE_ELEM`.
    pub fn insert(&mut self, tuple: &Tuple, flow: &Conntrack, flags: u64) -> Result<(), MapError> {
        if is_ipv4(tuple) {
            insert(&mut self.ipv4, tuple, flow, flags)
        } else {
            insert(&mut self.ipv6, tuple, flow, flags)
        }
    }

    /// Removes the entry of a packet.
    pub fn remove(&mut self, tuple: &Tuple) -> Result<(), MapError> {
        if is_ipv4(tuple) { remove(&mut self.ipv4, tuple) } else { remove(&mut self.ipv6, tuple) }
    }
}

fn is_ipv4(tuple: &Tuple) -> bool {
    tuple.destination.is_ipv4()
}

fn keys<E: Stored<Key: Pod> + Pod>(map: &Entries<E>) -> impl Iterator<Item = Result<Tuple, MapError>> {
    map.keys().map(|key| key.map(|key| E::tuple(&key)))
}

fn get<E: Stored<Key: Pod> + Pod>(map: &Entries<E>, tuple: &Tuple) -> Result<Conntrack, MapError> {
    let entry = map.get(E::key(tuple).borrow(), 0)?;
    let mut flow = Conntrack::default();
    entry.widen(&mut flow);
    Ok(flow)
}

fn insert<E: Stored<Key: Pod> + Pod>(
    map: &mut Entries<E>,
    tuple: &Tuple,
    flow: &Conntrack,
    flags: u64,
) -> Result<(), MapError> {
    map.insert(E::key(tuple).borrow(), E::narrow(flow).borrow(), flags)
}

fn remove<E: Stored<Key: Pod> + Pod>(map: &mut Entries<E>, tuple: &Tuple) -> Result<(), MapError> {
    map.remove(E::key(tuple).borrow())
}
