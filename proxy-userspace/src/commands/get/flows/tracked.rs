//! Reads the flows in an instance's pinned maps into plain values: those of packets, and what sockets have dialled.

use std::{io, time::Duration};

use bytemuck::AnyBitPattern;
use nix::time::{ClockId, clock_gettime};
use proxy_common::{
    Connection, ConnectionSet, ConntrackEntry, EntryMeta, Flow, FlowBucket, FlowRole, Frontend, Ipv4ConntrackEntry,
    LOCKED, Peer, Stored, Tuple, connection::BUSY,
};

use crate::{
    commands::get::{
        InspectError,
        read::{each_element, each_entry},
        snapshot::open,
    },
    maps::{PinFolder, flow_table::widen},
    node::jiffies,
};

/// The flows that have not expired.
#[derive(Clone, Debug, Default)]
pub struct Tracked {
    /// When they were read.
    pub clock: Clock,
    /// Flows of packets: the entry of the backend's packets, by their tuple. A flow that becomes assured meanwhile may be here
    /// twice.
    pub packets: Vec<(Tuple, ConntrackEntry)>,
    /// Connected TCP and SCTP sockets, by their cookies.
    pub sockets: Vec<(u64, Connection)>,
    /// What UDP sockets have dialled of late.
    pub datagrams: Vec<(Flow, Peer)>,
}

/// The clocks by which the programs note times.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// Jiffies.
    pub jiffies: u64,
    /// Jiffies per second.
    pub per_second: u32,
    /// Nanoseconds of the coarse monotonic clock.
    pub nanoseconds: u64,
}

impl Clock {
    /// Returns the current times.
    pub fn read() -> Result<Self, InspectError> {
        let read = || {
            let coarse = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE)?);
            let nanoseconds = u64::try_from(coarse.as_nanos()).unwrap_or(u64::MAX);
            Ok(Self { jiffies: jiffies::now_64()?, per_second: jiffies::per_second()?, nanoseconds })
        };
        read().map_err(|source: io::Error| InspectError::Clock { source })
    }

    /// Returns in how many seconds the entry of a flow expires.
    pub fn seconds_left(self, meta: &EntryMeta) -> u32 {
        meta.expires.wrapping_sub(jiffies::modulo(self.jiffies)) / self.per_second.max(1)
    }

    /// Returns how many seconds ago the first packet of a flow came; `None` if that is not known.
    pub fn age(self, meta: &EntryMeta) -> Option<u64> {
        meta.age(self.jiffies).map(|age| age / u64::from(self.per_second.max(1)))
    }
}

/// Decides which flows are read: by what was dialled, and by the service id if that is known.
type Wanted<'a> = &'a dyn Fn(Frontend, Option<u32>) -> bool;

impl Tracked {
    /// Reads the maps of an instance.
    pub fn read(instance: &str) -> Result<Self, InspectError> {
        Self::read_wanted(instance, &|_, _| true)
    }

    /// Reads the flows of an instance that are wanted: of very many flows, not all fit into memory.
    pub fn read_wanted(instance: &str, wanted: Wanted<'_>) -> Result<Self, InspectError> {
        let folder = open(instance)?;
        let mut tracked = Self { clock: Clock::read()?, ..Self::default() };
        for map in ["EMBRYONIC_IPV4", "CONNTRACK_IPV4"] {
            tracked.add_hash::<Ipv4ConntrackEntry>(&folder, map, wanted)?;
        }
        tracked.add_buckets::<Ipv4ConntrackEntry>(&folder, "FLOW_BUCKETS_IPV4", wanted)?;
        for map in ["EMBRYONIC_IPV6", "CONNTRACK_IPV6"] {
            tracked.add_hash::<ConntrackEntry>(&folder, map, wanted)?;
        }
        tracked.add_buckets::<ConntrackEntry>(&folder, "FLOW_BUCKETS_IPV6", wanted)?;
        tracked.add_sockets(&folder, wanted)?;
        tracked.add_datagrams(&folder, wanted)?;
        Ok(tracked)
    }

    /// Each flow is shown by the entry of its replies. Foreign flows have none.
    fn is_shown(&self, meta: &EntryMeta) -> bool {
        let is_reply = meta.flags & (EntryMeta::REPLY | EntryMeta::RESERVED) == EntryMeta::REPLY;
        is_reply && !meta.is_expired(jiffies::modulo(self.clock.jiffies))
    }

    fn add_hash<E>(&mut self, folder: &PinFolder, name: &'static str, wanted: Wanted<'_>) -> Result<(), InspectError>
    where
        E: Stored<Key: AnyBitPattern> + AnyBitPattern,
    {
        each_entry::<E::Key, E>(folder, name, |key, entry| {
            if self.is_shown(entry.meta()) {
                self.add_packets(widen(&key, &entry), wanted);
            }
        })
    }

    fn add_buckets<E: Stored<Bucket: aya::Pod>>(
        &mut self,
        folder: &PinFolder,
        name: &'static str,
        wanted: Wanted<'_>,
    ) -> Result<(), InspectError> {
        each_element::<E::Bucket>(folder, name, |mut bucket| {
            // A bucket that is being written is read again with the next look.
            let is_whole = !bucket.is_empty() && *bucket.version() != LOCKED;
            if is_whole && self.is_shown(bucket.entry().meta()) {
                self.add_packets(widen(bucket.key(), bucket.entry()), wanted);
            }
        })
    }

    fn add_packets(&mut self, (tuple, entry): (Tuple, ConntrackEntry), wanted: Wanted<'_>) {
        if wanted(Frontend::new(entry.source, entry.source_port, tuple.protocol), Some(entry.meta.service)) {
            self.packets.push((tuple, entry));
        }
    }

    fn add_sockets(&mut self, folder: &PinFolder, wanted: Wanted<'_>) -> Result<(), InspectError> {
        each_element::<ConnectionSet>(folder, "SOCKET_CONNECTIONS", |set| {
            let taken = set.cookies.into_iter().zip(set.connections);
            let taken = taken.filter(|(cookie, _)| *cookie != 0 && *cookie != BUSY);
            self.sockets.extend(taken.filter(|(_, connection)| wanted(connection.frontend, None)));
        })
    }

    /// Nothing tells when a UDP socket closes, so only those count that were used within [`Peer::TIMEOUT`].
    fn add_datagrams(&mut self, folder: &PinFolder, wanted: Wanted<'_>) -> Result<(), InspectError> {
        let now = self.clock.nanoseconds;
        each_entry::<Flow, Peer>(folder, "SOCKET_FLOWS", |flow, peer| {
            let is_recent = flow.role != FlowRole::Received as u32 && !peer.is_idle(now, Peer::TIMEOUT);
            if is_recent && wanted(peer.frontend, Some(peer.service)) {
                self.datagrams.push((flow, peer));
            }
        })
    }
}
