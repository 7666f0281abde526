//! Whether a client keeps its backend by session affinity: as `proxy-ebpf/src/affinity.rs` decides. Pure.

use proxy_common::{Affinity, List};

/// A client's entry in AFFINITY, with what it is compared with.
#[derive(Clone, Copy, Debug)]
pub struct Remembered {
    /// The entry.
    pub entry: Affinity,
    /// The service's timeout in seconds.
    pub timeout: u32,
    /// The service's generation.
    pub generation: u32,
    /// The lists that the backend is in, as bits of a value of MEMBERS.
    pub membership: u32,
    /// The backend's generation.
    pub backend_generation: u32,
}

/// The seconds that the client keeps its backend at `now` (ns of the coarse monotonic clock), unless it connects before; `None` if
/// it gets another one.
pub fn recalled(memory: &Remembered, list: List, now: u64) -> Option<u32> {
    let Remembered { entry, timeout, generation, membership, backend_generation } = *memory;
    let is_member = generation == entry.service_generation || membership & list.bit() != 0;
    if !is_member || entry.backend_generation != backend_generation || entry.is_expired(now, timeout) {
        return None;
    }
    let age = u32::try_from(now.saturating_sub(entry.last_connection) / 1_000_000_000).unwrap_or(u32::MAX);
    Some(timeout.saturating_sub(age))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn memory() -> Remembered {
        let entry = Affinity {
            backend: 3,
            backend_generation: 7,
            service_generation: 5,
            last_connection: 100 * SECOND,
            ..Affinity::default()
        };
        Remembered { entry, timeout: 60, generation: 5, membership: 0, backend_generation: 7 }
    }

    #[test]
    fn s24_a_client_keeps_its_backend_until_its_timeout_or_until_it_leaves() {
        let recalled = |memory: Remembered| recalled(&memory, List::Cluster, 110 * SECOND);
        assert_eq!(recalled(memory()), Some(50));
        assert_eq!(recalled(Remembered { timeout: 9, ..memory() }), None, "expired");
        assert_eq!(recalled(Remembered { backend_generation: 8, ..memory() }), None, "the id is another backend's");
        let moved = Remembered { generation: 6, ..memory() };
        assert_eq!(recalled(moved), None, "it has left the Service");
        assert_eq!(recalled(Remembered { membership: List::Local.bit(), ..moved }), None, "it is in the other list");
        assert_eq!(recalled(Remembered { membership: List::Cluster.bit(), ..moved }), Some(50));
    }
}
