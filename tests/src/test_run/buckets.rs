//! The bench node's FLOW_BUCKETS: buckets of other flows, and buckets that are only partly written.

use std::borrow::Borrow as _;

use aya::{
    Pod,
    maps::{Array, MapData, MapError},
};
use proxy_common::{
    ConntrackEntry, EntryMeta, FlowBucket, Ipv4Bucket, Ipv6Bucket, LOCKED, State as FlowState, Stored, Tuple,
};
use proxy_userspace::{maps::PinFolder, node::jiffies};

use super::state::open;

/// The buckets of both families.
pub struct FlowBuckets {
    ipv4: Array<MapData, Ipv4Bucket>,
    ipv6: Array<MapData, Ipv6Bucket>,
    /// The time of the programs' clock, jiffies.
    clock: u32,
}

/// What happens to both buckets of a packet's entry.
#[derive(Clone, Copy, Debug)]
pub enum BucketFault {
    /// Other flows have them, which end in this many seconds, or have ended if the number is negative.
    Taken(i32),
    /// Another program is writing them.
    Written,
    /// They are torn: another program had written a part of them.
    Torn,
}

impl FlowBuckets {
    pub(super) fn open(folder: &PinFolder, clock: u32) -> Result<Self, MapError> {
        Ok(Self { ipv4: open(folder, "FLOW_BUCKETS_IPV4")?, ipv6: open(folder, "FLOW_BUCKETS_IPV6")?, clock })
    }

    /// Empties all buckets.
    pub(super) fn clear(&mut self) {
        clear(&mut self.ipv4);
        clear(&mut self.ipv6);
    }

    pub(super) fn inject_fault(&mut self, tuple: &Tuple, fault: BucketFault) {
        if tuple.destination.is_ipv4() {
            inject_fault(&mut self.ipv4, tuple, fault, self.clock);
        } else {
            inject_fault(&mut self.ipv6, tuple, fault, self.clock);
        }
    }
}

fn clear<L: FlowBucket + Pod>(buckets: &mut Array<MapData, L>) {
    for index in 0..buckets.len() {
        let mut bucket = buckets.get(&index, 0).expect("read FLOW_BUCKETS");
        if !bucket.is_empty() || *bucket.version() != 0 {
            buckets.set(index, L::default(), 0).expect("write FLOW_BUCKETS");
        }
    }
}

fn inject_fault<L: FlowBucket<Entry: Copy> + Pod>(
    buckets: &mut Array<MapData, L>,
    tuple: &Tuple,
    fault: BucketFault,
    now: u32,
) {
    let key = L::Entry::key(tuple);
    let place = L::place(key.borrow(), buckets.len() / 2);
    // Keys that differ from this packet's, and from each other.
    for (index, other_port) in [(place.home, 0x1000), (place.neighbour(), 0x2000)] {
        let mut bucket = buckets.get(&index, 0).expect("read FLOW_BUCKETS");
        match fault {
            BucketFault::Taken(seconds) => {
                let other = Tuple { source_port: tuple.source_port ^ other_port, ..*tuple };
                let entry = *bucket.entry();
                bucket.fill(L::Entry::key(&other).borrow(), &entry);
                let ticks = seconds.cast_unsigned().wrapping_mul(jiffies::per_second().expect("read the clock's tick"));
                let expires = now.wrapping_add(ticks);
                *bucket.entry_mut().meta_mut() =
                    EntryMeta { expires, state: FlowState::Established as u8, ..EntryMeta::default() };
            }
            BucketFault::Written => *bucket.version() = LOCKED,
            BucketFault::Torn => {
                let mut flow = ConntrackEntry::default();
                bucket.entry().widen(&mut flow);
                flow.destination_port ^= 1;
                let whole = bucket;
                bucket.fill(whole.key(), L::Entry::narrow(&flow).borrow());
            }
        }
        buckets.set(index, bucket, 0).expect("write FLOW_BUCKETS");
    }
}
