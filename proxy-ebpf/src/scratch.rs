//! Per-CPU scratch: state carried across tail calls, and buffers too large for the 512-byte BPF stack. No program interrupts
//! another on its CPU there. Take each part once.

use core::ops::{Deref, DerefMut};

use proxy_common::{ConntrackEntry, Headers, Scratch, Verdict};

use crate::maps::SCRATCH;

/// This CPU's scratch. Never an error, as the map has one entry; the check is for the verifier.
#[inline(always)]
fn scratch() -> Result<*mut Scratch, Verdict> {
    SCRATCH.get_ptr_mut(0).ok_or(Verdict::Pass)
}

/// A packet's parsed headers, either in registers or in SCRATCH.
pub struct Parsed<'a> {
    headers: &'a mut Headers,
    /// A constant to the compiler.
    is_at_hand: bool,
}

impl<'a> Parsed<'a> {
    /// Keeps the headers in registers, as long as no subprogram gets their address.
    #[inline(always)]
    pub fn apart(headers: &'a mut Headers) -> Self {
        Self { headers, is_at_hand: false }
    }

    /// Keeps the headers in SCRATCH, which is slower. The verifier forgets the bounds of what is stored there, so that it need
    /// not follow every combination of protocols, parts and offsets.
    #[inline(always)]
    pub fn at_hand() -> Result<Self, Verdict> {
        Ok(Self { headers: headers_at_hand()?, is_at_hand: true })
    }

    /// Puts the headers into SCRATCH, for subprograms and the next program.
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

/// The parsed headers in SCRATCH.
#[inline(always)]
pub fn headers_at_hand() -> Result<&'static mut Headers, Verdict> {
    // SAFETY: valid until the program ends, and nobody else's.
    scratch().map(|scratch| unsafe { &mut (*scratch).headers })
}

/// The packet's flow in SCRATCH.
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

/// The value of [`assured_at_hand`] when TC has sent the packet: TC egress sees the same packet next.
const SENT: u32 = 2;

/// Notes that the packet, translated as the flow at hand says, leaves by TC.
#[inline(always)]
pub fn note_sent() {
    if let Ok(note) = assured_at_hand() {
        *note = SENT;
    }
}

/// Whether TC has just sent a packet of the flow at hand. Clears the note.
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
