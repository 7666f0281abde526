//! Session affinity: a client keeps its backend until its timeout or until the backend leaves (S24).

use aya_ebpf::bindings::BPF_NOEXIST;
use proxy_common::{Affinity, AffinityKey, Counter, List, Service, SlotRange, Verdict};

use crate::{
    backend::{Remembered, generation, recall, select_backend},
    clock::now_ns,
    counters::count,
    lookup::Lookup as _,
    maps::AFFINITY,
};

/// Returns the id of the client's backend. A client that has none gets one of the list by `random`, and keeps it.
#[inline(always)]
pub fn select_sticky(
    key: &AffinityKey,
    service: &Service,
    (range, list): (SlotRange, List),
    random: u32,
) -> Result<u32, Verdict> {
    // If another CPU inserted an entry for this client first, the second round takes its choice. `remembered` has removed a
    // stale entry, so one that exists then is fresh.
    for _ in 0..2 {
        if let Some(id) = remembered(key, service, list.bit()) {
            return Ok(id);
        }
        let service_generation = generation(service.id);
        let selected = select_backend(range, random)?;
        let affinity = &Affinity {
            backend: selected.id,
            backend_generation: selected.backend.generation,
            service_generation,
            _pad: 0,
            last_connection: now_ns(),
        };
        if AFFINITY.insert(key, affinity, BPF_NOEXIST.into()).is_ok() {
            return Ok(selected.id);
        }
    }
    count(Counter::MapFull);
    select_backend(range, random).map(|selected| selected.id)
}

/// Returns the id of the client's remembered backend, if the client may keep it. Otherwise removes the entry.
#[inline(always)]
fn remembered(key: &AffinityKey, service: &Service, list: u32) -> Option<u32> {
    let entry = AFFINITY.get_shared(key)?;
    // The LRU map may reuse the entry for another client at any time. At worst one choice is stale, since `recall` checks
    // everything that is used.
    let affinity = entry.read();
    let now = now_ns();
    let memory = Remembered {
        service: service.id,
        backend: affinity.backend,
        service_generation: affinity.service_generation,
        list,
    };
    let kept = if affinity.is_expired(now, service.affinity_timeout) {
        None
    } else {
        recall(memory, |backend| backend.generation == affinity.backend_generation)
    };
    let Some((_, generation)) = kept else {
        // Another CPU may have removed it already, which is just as well.
        let _ = AFFINITY.remove(key);
        return None;
    };
    entry.last_connection().write(&now);
    entry.service_generation().write(&generation);
    count(Counter::AffinityHit);
    Some(affinity.backend)
}
