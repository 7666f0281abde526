//! Reports what happens to flows, calls and packets to `waggle monitor` (docs/adr/0020). Packets of established flows never come
//! here.
//!
//! Without a monitor, a report costs a load from an array and a branch, which are inlined where it is made. Everything else is in
//! subprograms, since their callers have no stack left.

use core::ffi::c_void;

use aya_ebpf::helpers::{bpf_ktime_get_ns, bpf_ringbuf_reserve, bpf_ringbuf_submit};
use proxy_common::{
    Address, ConntrackEntry, Counter, EntryMeta, Event, EventHook, EventKind, Frontend, Monitor, Shared, State, Tuple,
};

use crate::{
    backend::random,
    counters::count,
    lookup::Lookup as _,
    maps::{EVENTS, MONITOR, MONITORED_SERVICES, SERVICES},
    packet::Packet,
};

/// Whether a monitor wants events of this kind. It may have been killed, which [`emit`] notices.
#[inline(always)]
pub fn are_wanted(kind: EventKind) -> bool {
    wanted_kinds() & kind.bit() != 0
}

#[inline(always)]
fn wanted_kinds() -> u32 {
    MONITOR.get_shared(0).map_or(0, |monitor| monitor.kinds().read())
}

/// An event's kind, its reason and its hook, as one number for subprograms.
#[derive(Clone, Copy)]
pub struct What(u32);

impl What {
    #[inline(always)]
    pub const fn new(kind: EventKind, reason: u8, hook: EventHook) -> Self {
        Self(kind as u32 | (reason as u32) << 8 | (hook as u32) << 16)
    }

    /// What has happened to a call that is not refused, by the number of its kind.
    #[inline(always)]
    pub const fn call(kind: u32) -> Self {
        Self(kind | (EventHook::Socket as u32) << 16)
    }

    /// The refusal that this counter counts. A subtraction chooses its kind, since the compiler would make a copy of all that
    /// follows a branch.
    #[inline(always)]
    const fn refusal(rejects: bool, counter: u32, hook: EventHook) -> Self {
        const { assert!(EventKind::Reject as u32 + 1 == EventKind::Drop as u32) };
        Self((EventKind::Drop as u32 - rejects as u32) | (counter & 0xff) << 8 | (hook as u32) << 16)
    }

    /// The bit of the kind in [`Monitor::kinds`].
    #[inline(always)]
    const fn bit(self) -> u32 {
        1 << (self.0 & 7)
    }

    #[inline(always)]
    pub const fn reason(self) -> u8 {
        self.bytes()[1]
    }

    #[inline(always)]
    const fn bytes(self) -> [u8; 4] {
        self.0.to_le_bytes()
    }
}

/// What an event is about. Addresses are behind references, so that they are copied once, into the event.
pub struct Subject<'a> {
    pub protocol: u8,
    pub service: u32,
    pub client: (&'a Address, u16),
    pub frontend: (&'a Address, u16),
    pub backend: (&'a Address, u16),
    pub device: u32,
}

/// Reports an event, if the monitor wants it. `refuses`, a constant, says that it is a refusal. `complete` writes the fields that
/// only events of sockets have.
#[inline(always)]
pub fn emit(what: What, refuses: bool, subject: &Subject<'_>, complete: impl FnOnce(&mut Event)) {
    let Some(monitor) = MONITOR.get_shared(0) else { return };
    // SAFETY: takes no arguments.
    let now = unsafe { bpf_ktime_get_ns() };
    if now >= monitor.expires().read() || !wants(monitor, what, refuses, subject) || is_left_out(monitor) {
        return;
    }
    let ring: *mut c_void = (&raw const EVENTS).cast_mut().cast();
    // SAFETY: the helper takes the ring buffer, and returns null or room for an event, aligned to eight bytes.
    let room: *mut Event = unsafe { bpf_ringbuf_reserve(ring, size_of::<Event>() as u64, 0) }.cast();
    // SAFETY: the room is the program's own until it is submitted, and any bytes are an event.
    let Some(event) = (unsafe { room.as_mut() }) else { return count(Counter::EventLost) };
    // Field by field, without a copy on the stack.
    event.time = now;
    event.netns = 0;
    [event.kind, event.reason, event.hook, _] = what.bytes();
    event.protocol = subject.protocol;
    event.service = subject.service;
    event.client = *subject.client.0;
    event.frontend = *subject.frontend.0;
    event.backend = *subject.backend.0;
    event.client_port = subject.client.1;
    event.frontend_port = subject.frontend.1;
    event.backend_port = subject.backend.1;
    event._pad = 0;
    event.device = subject.device;
    event.process = 0;
    event.command = [0; 16];
    complete(event);
    // SAFETY: as above.
    unsafe { bpf_ringbuf_submit(room.cast(), 0) };
}

#[inline(always)]
fn wants(monitor: Shared<Monitor>, what: What, refuses: bool, subject: &Subject<'_>) -> bool {
    if refuses && !Monitor::wants_reason(monitor.reasons().read(), EventKind::Drop, what.reason()) {
        return false;
    }
    let (port, protocol) = (monitor.port().read(), monitor.protocol().read());
    if port != 0 && port != subject.frontend.1 || protocol != 0 && protocol != subject.protocol {
        return false;
    }
    if monitor.by_service().read() != 0 && MONITORED_SERVICES.get(subject.service).is_none_or(|wanted| *wanted == 0) {
        return false;
    }
    Monitor::is_in(subject.client.0, &monitor.client().read(), &monitor.client_mask().read())
}

/// Whether the event is one of those that a sample leaves out.
#[inline(always)]
fn is_left_out(monitor: Shared<Monitor>) -> bool {
    let sample = monitor.sample().read();
    sample > 1 && !random().is_multiple_of(sample)
}

/// The address of an event that has none.
pub const NONE: &Address = &Address::ANY_IPV6;

/// The id of the Service that has this frontend; 0 if none has. At an address that no Service owns, or whose port it does not
/// serve, a node port of the same number is no answer.
#[inline(never)]
pub fn service_of(frontend: &Frontend, counter: u8) -> u32 {
    let id = |frontend: &Frontend| {
        // SAFETY: one word, read at once.
        unsafe { SERVICES.get(frontend) }.map(|service| service.id)
    };
    if let Some(id) = id(frontend) {
        return id;
    }
    if counter == Counter::RejectUnservedPort as u8 || counter == Counter::DropUnownedAddress as u8 {
        return 0;
    }
    id(&Frontend { address: frontend.address.any(), ..*frontend }).unwrap_or(0)
}

/// Reports a flow that a packet has opened.
#[inline(always)]
pub fn opened<P: Packet>(packet: &P, tuple: &Tuple, flow: &ConntrackEntry) {
    if are_wanted(EventKind::New) {
        report_flow(tuple, flow, What::new(EventKind::New, 0, P::HOOK), packet.ifindex());
    }
}

/// Reports a flow that leaves its backend.
#[inline(always)]
pub fn left_backend<P: Packet>(packet: &P, tuple: &Tuple, flow: &ConntrackEntry) {
    if are_wanted(EventKind::Reselect) {
        report_flow(tuple, flow, What::new(EventKind::Reselect, 0, P::HOOK), packet.ifindex());
    }
}

/// Reports a flow that its packet has ended. `before` is its state before the packet: a flow that was over is not reported again,
/// such as an association that was closed, and is reset by its last packet.
#[inline(always)]
pub fn ended<P: Packet>(packet: &P, tuple: &Tuple, flow: &ConntrackEntry, before: u8) {
    let is_over = |state| state == State::Closed as u8 || state == State::Reset as u8;
    let state = flow.meta.state;
    if is_over(state) && !is_over(before) && are_wanted(EventKind::End) {
        report_flow(tuple, flow, What::new(EventKind::End, state, P::HOOK), packet.ifindex());
    }
}

/// Reports a flow by one of its packets.
#[inline(never)]
fn report_flow(tuple: &Tuple, flow: &ConntrackEntry, what: What, device: u32) {
    let (sender, receiver) = ((&tuple.source, tuple.source_port), (&flow.destination, flow.destination_port));
    let (client, frontend, backend) = if flow.meta.flags & EntryMeta::REPLY == 0 {
        (sender, (&tuple.destination, tuple.destination_port), receiver)
    } else {
        (receiver, (&flow.source, flow.source_port), sender)
    };
    let subject = Subject { protocol: tuple.protocol, service: flow.meta.service, client, frontend, backend, device };
    emit(what, false, &subject, |_| {});
}

/// Reports a packet that is rejected or dropped, by the counter of its reason. `ports` is the offset of its ports, bytes; 0 if it
/// has none.
#[inline(always)]
pub fn refused<P: Packet>(packet: &P, mut tuple: Tuple, ports: u32, rejects: bool, counter: u32) {
    let what = What::refusal(rejects, counter, P::HOOK);
    report_refused::<P>(packet.context(), &mut tuple, ports, what, packet.ifindex());
}

#[inline(never)]
fn report_refused<P: Packet>(context: *mut c_void, tuple: &mut Tuple, ports: u32, what: What, device: u32) {
    if wanted_kinds() & what.bit() == 0 {
        return;
    }
    if ports != 0
        && let Some(ports) = P::read_word(context, ports as usize)
    {
        let [a, b, c, d] = ports.to_ne_bytes();
        (tuple.source_port, tuple.destination_port) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    }
    let frontend = Frontend::new(tuple.destination, tuple.destination_port, tuple.protocol);
    let subject = Subject {
        protocol: tuple.protocol,
        service: service_of(&frontend, what.reason()),
        client: (&tuple.source, tuple.source_port),
        frontend: (&tuple.destination, tuple.destination_port),
        backend: (NONE, 0),
        device,
    };
    emit(what, true, &subject, |_| {});
}
