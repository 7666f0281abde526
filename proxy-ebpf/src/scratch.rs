//! What one program leaves for the next about the packet at hand, and room that the stack has not: this CPU's own, and no
//! program interrupts another there. Take each part once.

use core::ops::{Deref, DerefMut};

use proxy_common::{ConntrackEntry, Headers, Scratch, Verdict};

use crate::maps::SCRATCH;

/// There always is one; the verifier asks. Without it nothing could be said about the packet.
#[inline(always)]
fn scratch() -> Result<*mut Scratch, Verdict> {
    SCRATCH.get_ptr_mut(0).ok_or(Verdict::Pass)
}

/// What a packet's headers say, where a program works with it: apart from what is at hand, in registers, or there.
pub struct Parsed<'a> {
    headers: &'a mut Headers,
    /// A constant to the compiler.
    is_at_hand: bool,
}

impl<'a> Parsed<'a> {
    /// In registers, as long as no subprogram is told where.
    #[inline(always)]
    pub fn apart(headers: &'a mut Headers) -> Self {
        Self { headers, is_at_hand: false }
    }

    /// At hand, which is slower. The verifier forgets what it knows of what is stored there, so that it need not follow every
    /// combination of protocols, parts and offsets.
    #[inline(always)]
    pub fn at_hand() -> Result<Self, Verdict> {
        Ok(Self { headers: headers_at_hand()?, is_at_hand: true })
    }

    /// Puts it at hand, for subprograms and the next program.
    #[inline(always)]
    pub fn put(&mut self) -> Result<&mut Headers, Verdict> {
        if self.is_at_hand {
            return Ok(self.headers);
        }
        let at_hand = headers_at_hand()?;
        *at_hand = *self.headers;
        Ok(at_hand)
    }
}

impl Deref for Parsed<'_> {
    type Target = Headers;

    #[inline(always)]
    fn deref(&self) -> &Headers {
        self.headers
    }
}

impl DerefMut for Parsed<'_> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Headers {
        self.headers
    }
}

/// What the packet's headers say.
#[inline(always)]
pub fn headers_at_hand() -> Result<&'static mut Headers, Verdict> {
    // SAFETY: valid until the program ends, and nobody else's.
    scratch().map(|scratch| unsafe { &mut (*scratch).headers })
}

/// The packet's flow.
#[inline(always)]
pub fn flow_at_hand() -> Result<&'static mut ConntrackEntry, Verdict> {
    // SAFETY: as above.
    scratch().map(|scratch| unsafe { &mut (*scratch).flow })
}

/// Whether the packet's entry was found among the assured ones.
#[inline(always)]
pub fn assured_at_hand() -> Result<&'static mut u32, Verdict> {
    // SAFETY: as above.
    scratch().map(|scratch| unsafe { &mut (*scratch).assured })
}

/// In the place of [`assured_at_hand`] when the packet has been sent by TC: the same packet comes by TC egress next.
const SENT: u32 = 2;

/// Notes that the packet, translated as the flow at hand says, leaves by TC.
#[inline(always)]
pub fn note_sent() {
    if let Ok(note) = assured_at_hand() {
        *note = SENT;
    }
}

/// Whether the flow at hand is of the packet that TC has just sent. The note holds once.
#[inline(always)]
pub fn take_sent() -> bool {
    assured_at_hand().is_ok_and(|note| core::mem::take(note) == SENT)
}

/// Room for the entry of the other direction.
#[inline(always)]
pub fn reply_at_hand() -> Result<&'static mut ConntrackEntry, Verdict> {
    // SAFETY: as above.
    scratch().map(|scratch| unsafe { &mut (*scratch).reply })
}
