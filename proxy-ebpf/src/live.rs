//! The maps that the decision about a new flow reads (`proxy_common::decide`), as programs read them.

use aya_ebpf::btf_maps::lpm_trie::Key;
use proxy_common::{Address, Backend, Frontend, Network, Service, SourceRange, decide::Maps};

use crate::maps::{BACKENDS, NETWORKS, SERVICES, SLOTS, SOURCE_RANGES};

/// The maps of this set of programs.
pub struct Live;

impl Maps for Live {
    #[inline(always)]
    fn service(&self, frontend: &Frontend) -> Option<Service> {
        // SAFETY: the value is copied before anything else runs.
        unsafe { SERVICES.get(frontend) }.copied()
    }

    #[inline(always)]
    fn network(&self, address: &Address) -> Option<Network> {
        NETWORKS.get(&Key::new(128, *address)).copied()
    }

    #[inline(always)]
    fn is_admitted(&self, service: u32, client: &Address) -> bool {
        is_in_ranges(service, client)
    }

    #[inline(always)]
    fn slot(&self, slot: u32) -> Option<u32> {
        SLOTS.get(slot).copied()
    }

    #[inline(always)]
    fn backend(&self, id: u32) -> Option<Backend> {
        BACKENDS.get(id).copied()
    }
}

/// A subprogram, so that it has a stack of its own.
#[inline(never)]
fn is_in_ranges(service: u32, client: &Address) -> bool {
    SOURCE_RANGES.get(&Key::new(160, SourceRange::new(service, *client))).is_some()
}
