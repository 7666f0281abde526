//! Whether a flow may stay with its backend when its client sends again (S29).

use proxy_common::{ConntrackEntry, Counter, EntryMeta, List, Protocol, State};

use crate::{
    backend::{Memory, generation, get_backend, recall},
    counters::count,
    flow::conntrack::forget,
    scratch::Parsed,
};

/// Whether the client's packet may go on in its flow; otherwise the flow has been forgotten and a new one is to be
/// opened: a connection opened anew over an ended one or to a lost backend, or a datagram to a lost backend (S29).
#[inline(always)]
pub fn may_continue(headers: &mut Parsed<'_>, flow: &mut ConntrackEntry, meta: &mut EntryMeta, assured: bool) -> bool {
    let opens = headers.flags().opens();
    let is_udp = headers.tuple.protocol == Protocol::Udp as u8;
    if !is_udp && !opens {
        return true;
    }
    // A lone SYN, perhaps somebody else's, moves no open connection as long as its backend is anybody's.
    // Nor an association that a backend has replied to, which has no generation any more.
    let has_replied = headers.tuple.protocol == Protocol::Sctp as u8 && flow.meta.state() != State::New;
    let keeps = if opens && (assured || has_replied) { exists(&flow.meta) } else { keeps_backend(flow, meta) };
    // Half an SCTP association is as good as none.
    let may_be_half_closed = assured && headers.tuple.protocol == Protocol::Tcp as u8;
    if keeps && !(opens && flow.meta.state().is_over(may_be_half_closed)) {
        return true;
    }
    if is_udp {
        count(Counter::UdpFlowMoved);
    }
    if let Ok(at_hand) = headers.put() {
        forget(flow, &at_hand.tuple);
    }
    false
}

/// Whether the flow's backend is still one of some service's.
#[inline(always)]
fn exists(meta: &EntryMeta) -> bool {
    get_backend(meta.backend).is_ok_and(|found| found.backend.generation == meta.backend_generation)
}

/// Whether the flow's backend is still one of its service's.
#[inline(always)]
fn keeps_backend(flow: &mut ConntrackEntry, meta: &mut EntryMeta) -> bool {
    if generation(flow.meta.service) == flow.meta.service_generation {
        return true;
    }
    let confirmed = is_confirmed(&mut flow.meta);
    meta.service_generation = flow.meta.service_generation;
    confirmed
}

/// The same when something has changed since it was found out last.
#[inline(never)]
fn is_confirmed(meta: &mut EntryMeta) -> bool {
    let memory = Memory {
        service: meta.service,
        backend: meta.backend,
        backend_generation: meta.backend_generation,
        service_generation: meta.service_generation,
        list: List::staying(meta.list.into()),
    };
    let confirmed = recall(memory);
    if let Some((_, generation)) = confirmed {
        meta.service_generation = generation;
    }
    confirmed.is_some()
}
