//! Per-CPU scratch: state carried across tail calls, and buffers too large for the 512-byte BPF stack. Packet programs, which use
//! it, do not interrupt each other on a CPU.
//!
//! Each part has one owner in a run of a program: a [`Room`], which the entry point makes, and which is passed on and becomes a
//! reference once. So the compiler refuses a second reference to a part that is still in use. A tail call ends the run, and the
//! next program begins with rooms of its own.

use core::{
    marker::PhantomData,
    mem::offset_of,
    ops::{Deref, DerefMut},
    ptr::NonNull,
};

use proxy_common::{ConntrackEntry, Headers, Scratch, Shared, Verdict};

use crate::maps::SCRATCH;

/// This CPU's scratch. Never an error, as the map has one entry; the check is for the verifier.
#[inline(always)]
fn scratch() -> Result<NonNull<Scratch>, Verdict> {
    SCRATCH.get_ptr_mut(0).and_then(NonNull::new).ok_or(Verdict::Pass)
}

/// The right to use the part of SCRATCH at byte `OFFSET`. It takes no space, and the part is looked up only when it is needed.
pub struct Room<'run, T, const OFFSET: usize>(PhantomData<&'run mut T>);

#[expect(clippy::unused_self, reason = "a room is the right to its part")]
impl<'run, T, const OFFSET: usize> Room<'run, T, OFFSET> {
    /// Turns the room into a reference to its part.
    #[inline(always)]
    pub fn get(self) -> Result<&'run mut T, Verdict> {
        // SAFETY: the types below say what is at the offset. The value lives until the program ends, and there is no other room
        // for it (`Rooms::take`).
        scratch().map(|scratch| unsafe { scratch.byte_add(OFFSET).cast().as_mut() })
    }

    /// Lends the room. It can be used again when the borrow ends.
    #[inline(always)]
    pub fn lend(&mut self) -> Room<'_, T, OFFSET> {
        Room(PhantomData)
    }
}

/// Room for the parsed headers.
pub type HeadersRoom<'run> = Room<'run, Headers, { offset_of!(Scratch, headers) }>;
/// Room for the packet's flow.
pub type FlowRoom<'run> = Room<'run, ConntrackEntry, { offset_of!(Scratch, flow) }>;
/// Room for the entry of the other direction.
pub type ReplyRoom<'run> = Room<'run, ConntrackEntry, { offset_of!(Scratch, reply) }>;

/// The rooms of one run of a program.
pub struct Rooms<'run> {
    /// For the parsed headers.
    pub headers: HeadersRoom<'run>,
    /// For the packet's flow.
    pub flow: FlowRoom<'run>,
    /// For the entry of the other direction.
    pub reply: ReplyRoom<'run>,
}

impl Rooms<'_> {
    /// Makes the rooms.
    ///
    /// # Safety
    ///
    /// Must be called only once in a run of a program, and only in a packet program: a socket program may be interrupted by one.
    #[inline(always)]
    pub unsafe fn take() -> Self {
        Self { headers: Room(PhantomData), flow: Room(PhantomData), reply: Room(PhantomData) }
    }
}

/// A packet's parsed headers, either in registers or in SCRATCH.
pub struct Parsed<'run> {
    headers: &'run mut Headers,
    /// The room that [`store`](Self::store) copies headers to if they are in registers. A constant to the compiler.
    room: Option<HeadersRoom<'run>>,
}

impl<'run> Parsed<'run> {
    /// Keeps the headers in registers, as long as no subprogram gets their address.
    #[inline(always)]
    pub fn in_registers(headers: &'run mut Headers, room: HeadersRoom<'run>) -> Self {
        Self { headers, room: Some(room) }
    }

    /// Keeps the headers in SCRATCH, which is slower. The verifier forgets the bounds of what is stored there, so that it does
    /// not follow every combination of protocols, parts and offsets.
    #[inline(always)]
    pub fn in_scratch(room: HeadersRoom<'run>) -> Result<Self, Verdict> {
        Ok(Self { headers: room.get()?, room: None })
    }

    /// Puts the headers into SCRATCH, for subprograms and the next program.
    #[inline(always)]
    pub fn store(&mut self) -> Result<&mut Headers, Verdict> {
        let Some(room) = &mut self.room else { return Ok(self.headers) };
        let stored = room.lend().get()?;
        *stored = *self.headers;
        Ok(stored)
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

/// The note about a packet's flow that its programs pass on: [`SENT`], or [`ASSURED`] and a state.
#[inline(always)]
fn note() -> Result<Shared<u32>, Verdict> {
    // SAFETY: the value lives until the program ends. No room has this part of it.
    scratch().map(|scratch| unsafe { Shared::new(scratch.byte_add(offset_of!(Scratch, note)).cast()) })
}

/// The packet's entry was found among the assured ones.
const ASSURED: u32 = 1;
/// TC has sent the packet: TC egress sees the same packet next.
const SENT: u32 = 2;
/// The lowest bit of the state that the flow had before the packet.
const STATE_SHIFT: u32 = 8;

/// The flow of a packet, as the program that has found it passes it on besides its entry.
#[derive(Clone, Copy)]
pub struct Found {
    /// The entry is among the assured ones.
    pub assured: bool,
    /// The state before the packet.
    pub before: u8,
}

impl Found {
    /// Passes it on to the next program.
    #[inline(always)]
    pub fn store(self) -> Result<(), Verdict> {
        let assured = if self.assured { ASSURED } else { 0 };
        note().map(|note| note.write(&(assured | u32::from(self.before) << STATE_SHIFT)))
    }

    /// What the previous program has passed on.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "it was a byte")]
    pub fn load() -> Result<Self, Verdict> {
        let note = note()?.read();
        Ok(Self { assured: note & ASSURED != 0, before: (note >> STATE_SHIFT) as u8 })
    }
}

/// Notes that TC sends the packet, translated by the flow in SCRATCH.
#[inline(always)]
pub fn note_sent() {
    if let Ok(note) = note() {
        note.write(&SENT);
    }
}

/// Whether TC has just sent a packet of the flow in SCRATCH. Clears the note.
#[inline(always)]
pub fn take_sent() -> bool {
    note().is_ok_and(|note| {
        let was_sent = note.read() == SENT;
        note.write(&0);
        was_sent
    })
}
