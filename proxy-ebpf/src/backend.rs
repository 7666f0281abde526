//! Stage *select*: selects a backend of a slot range, and checks whether a remembered one may still be used.

use aya_ebpf::helpers::bpf_get_prandom_u32;
use proxy_common::{
    Backend, Member, SlotRange, Verdict,
    decide::{self, MISSING, Selected},
};

use crate::{
    live::Live,
    maps::{GENERATIONS, MEMBERS},
};

/// A uniformly random number.
#[inline(always)]
pub fn random() -> u32 {
    // SAFETY: takes no arguments.
    unsafe { bpf_get_prandom_u32() }
}

/// Selects a backend from a range that is not empty: uniformly, if `random` is uniform (S23).
#[inline(always)]
pub fn select_backend(range: SlotRange, random: u32) -> Result<Selected, Verdict> {
    decide::select_backend(&Live, range, random)
}

/// The backend with this id; an error if there is none.
#[inline(always)]
pub fn get_backend(id: u32) -> Result<Selected, Verdict> {
    decide::get_backend(&Live, id).ok_or(MISSING)
}

/// The service's current generation.
#[inline(always)]
pub fn generation(service: u32) -> u32 {
    GENERATIONS.get(service).copied().unwrap_or(0)
}

/// A flow's or client's memory of its backend.
#[derive(Clone, Copy)]
pub struct Remembered {
    /// Service id.
    pub service: u32,
    /// Backend id.
    pub backend: u32,
    /// The service's generation when the membership was last checked.
    pub service_generation: u32,
    /// Bits of a value of MEMBERS, of which the backend must have one: in the list that it was chosen from, or draining.
    pub list: u32,
}

/// Returns the remembered backend and the service's current generation, if the backend still belongs to the list. `is_same` says
/// whether the backend that has the id now has the remembered generation.
#[inline(always)]
pub fn recall(memory: Remembered, is_same: impl FnOnce(&Backend) -> bool) -> Option<(Selected, u32)> {
    let now = generation(memory.service);
    if now != memory.service_generation && !is_member(memory) {
        return None;
    }
    let selected = decide::get_backend(&Live, memory.backend)?;
    is_same(&selected.backend).then_some((selected, now))
}

#[inline(always)]
fn is_member(memory: Remembered) -> bool {
    let member = Member { service: memory.service, backend: memory.backend };
    // SAFETY: the value is one word, read at once.
    unsafe { MEMBERS.get(member) }.is_some_and(|lists| lists & memory.list != 0)
}
