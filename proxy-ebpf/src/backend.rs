//! Stage *select*: one backend of a slot range, and whether a remembered one may still be used.

use aya_ebpf::helpers::bpf_get_prandom_u32;
use proxy_common::{Backend, DropReason, Frontend, Member, SlotRange, Verdict, select::slot_index};

use crate::maps::{BACKENDS, GENERATIONS, MEMBERS, SLOTS};

/// A backend and the id under which it can be remembered.
#[derive(Clone, Copy, Default)]
pub struct Selected {
    /// Its id.
    pub id: u32,
    /// Its address and port.
    pub backend: Backend,
}

impl Selected {
    /// The backend's address as a socket dials it.
    #[inline(always)]
    pub const fn remote(&self, protocol: u8) -> Frontend {
        Frontend::new(self.backend.address, self.backend.port, protocol)
    }
}

/// A uniformly random number.
#[inline(always)]
pub fn random() -> u32 {
    // SAFETY: takes no arguments.
    unsafe { bpf_get_prandom_u32() }
}

/// Draws from a range that is not empty: uniformly, if `random` is (S23).
#[inline(always)]
pub fn select_backend(range: SlotRange, random: u32) -> Result<Selected, Verdict> {
    let slot = range.offset.wrapping_add(slot_index(random, range.length));
    get_backend(*SLOTS.get(slot).ok_or(MISSING)?)
}

/// A list or memory names a backend that is not there.
const MISSING: Verdict = Verdict::Drop(DropReason::MissingBackend);

/// The backend that has been chosen by its id.
#[inline(always)]
pub fn get_backend(id: u32) -> Result<Selected, Verdict> {
    get(id).ok_or(MISSING)
}

/// The backend with this id, if there is one.
#[inline(always)]
fn get(id: u32) -> Option<Selected> {
    let backend = *BACKENDS.get(id)?;
    backend.is_valid().then_some(Selected { id, backend })
}

/// The service's generation now.
#[inline(always)]
pub fn generation(service: u32) -> u32 {
    GENERATIONS.get(service).copied().unwrap_or(0)
}

/// What a flow or client remembers of its backend.
#[derive(Clone, Copy)]
pub struct Memory {
    /// Service id.
    pub service: u32,
    /// Backend id.
    pub backend: u32,
    /// The backend's generation when it was chosen.
    pub backend_generation: u32,
    /// The service's generation when the membership was last checked.
    pub service_generation: u32,
    /// What it must be for the service, one of these bits of MEMBERS' values: in the list it was chosen from, or draining.
    pub list: u32,
}

/// The remembered backend and the service's generation now, if the backend still belongs to the list.
#[inline(always)]
pub fn recall(memory: Memory) -> Option<(Selected, u32)> {
    let now = generation(memory.service);
    if now != memory.service_generation && !is_member(memory) {
        return None;
    }
    let selected = get(memory.backend)?;
    (selected.backend.generation == memory.backend_generation).then_some((selected, now))
}

#[inline(always)]
fn is_member(memory: Memory) -> bool {
    let member = Member { service: memory.service, backend: memory.backend };
    // SAFETY: the value is one word, read at once.
    unsafe { MEMBERS.get(member) }.is_some_and(|lists| lists & memory.list != 0)
}
