//! Decides whether a flow may stay with its backend when its client sends again (S29).

use proxy_common::{ConntrackEntry, Counter, EntryMeta, List, Protocol, Shared, State};

use crate::{
    backend::{Remembered, generation, get_backend, recall},
    counters::count,
    events,
    flow::conntrack::forget,
    packet::Packet,
    scratch::Parsed,
};

/// Whether the client's packet may continue in its flow. If not, the flow has been removed, and a new one has to be opened: a SYN
/// reuses the ports of an ended connection, or the backend of a SYN or datagram is gone (S29).
#[inline(always)]
pub fn may_continue<P: Packet>(
    packet: &P,
    headers: &mut Parsed<'_>,
    flow: &mut ConntrackEntry,
    meta: Shared<EntryMeta>,
    assured: bool,
) -> bool {
    let opens = headers.flags().opens();
    let is_udp = headers.tuple.protocol == Protocol::Udp as u8;
    if !is_udp && !opens {
        return true;
    }
    // A lone SYN, which may be forged, ends no open connection as long as any Service has its backend. The same holds for an INIT
    // and an association that the backend has replied to: it has a tag in place of the service's generation.
    let has_replied = headers.tuple.protocol == Protocol::Sctp as u8 && flow.meta.state() != State::New;
    let keeps = if opens && (assured || has_replied) { backend_exists(&flow.meta) } else { keeps_backend(flow, meta) };
    // An SCTP association can't be half-closed.
    let may_be_half_closed = assured && headers.tuple.protocol == Protocol::Tcp as u8;
    if keeps && !(opens && flow.meta.state().is_over(may_be_half_closed)) {
        return true;
    }
    if is_udp {
        count(Counter::UdpFlowMoved);
    }
    if let Ok(stored) = headers.store() {
        forget(flow, &stored.tuple);
        if !keeps {
            events::left_backend(packet, &stored.tuple, flow);
        }
    }
    false
}

/// Whether any service still has the flow's backend.
#[inline(always)]
fn backend_exists(meta: &EntryMeta) -> bool {
    get_backend(meta.backend).is_ok_and(|found| meta.is_of(&found.backend))
}

/// Whether the flow's service still has its backend.
#[inline(always)]
fn keeps_backend(flow: &mut ConntrackEntry, meta: Shared<EntryMeta>) -> bool {
    if generation(flow.meta.service) == flow.meta.service_generation {
        return true;
    }
    let confirmed = recheck_backend(&mut flow.meta);
    meta.service_generation().write(&flow.meta.service_generation);
    confirmed
}

/// Whether the flow's service, which has changed since the last check, still has the flow's backend.
#[inline(never)]
fn recheck_backend(meta: &mut EntryMeta) -> bool {
    let memory = Remembered {
        service: meta.service,
        backend: meta.backend,
        service_generation: meta.service_generation,
        list: List::serving(meta.list().bit()),
    };
    let confirmed = recall(memory, |backend| meta.is_of(backend));
    if let Some((_, generation)) = confirmed {
        meta.service_generation = generation;
    }
    confirmed.is_some()
}
