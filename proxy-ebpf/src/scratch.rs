//! What one program leaves for the next about the packet at hand, and room that the stack has not: this CPU's own, and no
//! program interrupts another there. Take each part once.

use proxy_common::{Conntrack, Headers, Scratch, Verdict};

use crate::maps::SCRATCH;

/// There always is one; the verifier asks. Without it nothing could be said about the packet.
#[inline(always)]
fn scratch() -> Result<*mut Scratch, Verdict> {
    SCRATCH.get_ptr_mut(0).ok_or(Verdict::Pass)
}

/// What the packet's headers say.
#[inline(always)]
pub fn headers_at_hand() -> Result<&'static mut Headers, Verdict> {
    // SAFETY: valid until the program ends, and nobody else's.
    scratch().map(|scratch| unsafe { &mut (*scratch).headers })
}

/// The packet's flow.
#[inline(always)]
pub fn flow_at_hand() -> Result<&'static mut Conntrack, Verdict> {
    // SAFETY: as above.
    scratch().map(|scratch| unsafe { &mut (*scratch).flow })
}

/// Whether the packet's entry was found among the settled ones.
#[inline(always)]
pub fn settled_at_hand() -> Result<&'static mut u32, Verdict> {
    // SAFETY: as above.
    scratch().map(|scratch| unsafe { &mut (*scratch).settled })
}

/// In the place of [`settled_at_hand`] when the packet has been sent by TC: the same packet comes by TC egress next.
const SENT: u32 = 2;

/// Notes that the packet, translated as the flow at hand says, leaves by TC.
#[inline(always)]
pub fn note_sent() {
    if let Ok(note) = settled_at_hand() {
        *note = SENT;
    }
}

/// Whether the flow at hand is of the packet that TC has just sent. The note holds once.
#[inline(always)]
pub fn take_sent() -> bool {
    settled_at_hand().is_ok_and(|note| core::mem::take(note) == SENT)
}

/// Room for the entry of the other direction.
#[inline(always)]
pub fn reply_at_hand() -> Result<&'static mut Conntrack, Verdict> {
    // SAFETY: as above.
    scratch().map(|scratch| unsafe { &mut (*scratch).reply })
}
