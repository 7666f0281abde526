//! The path of a packet that leaves this node, at TC egress. The reply of a backend on this node gets the frontend's address, and
//! a packet that opens a foreign flow is noted.

use proxy_common::{ConntrackEntry, Headers, Protocol, Stage, Verdict, filter::AddressClass};

use crate::{
    clock::now_jiffies,
    emit::deliver,
    events,
    filter::address_class,
    flow::{
        conntrack::{forget, is_local_reply, leaves_unchanged, lookup},
        refresh::refresh_flow,
    },
    foreign, fragment,
    packet::Packet,
    parse::parse_network,
    pipeline::{parse_ports, read_chunk, store_and_continue, update_flow},
    scratch::{Found, Parsed, ReplyRoom, Rooms},
    service::is_service,
    succession::try_other_set,
    uplink::has_source_rules,
};

/// Handles a packet that is about to leave, as the stack has sent it. Its headers are in SCRATCH from the beginning, for any
/// program that continues with it.
#[inline(always)]
pub fn egress<P: Packet>(packet: &mut P, rooms: Rooms<'_>) -> Result<(), Verdict> {
    let headers = &mut Parsed::in_scratch(rooms.headers)?;
    parse_network(packet, headers)?;
    if headers.is_icmp() {
        return store_and_continue(packet, headers, Stage::IcmpEgress);
    }
    let class = address_class(&headers.tuple.source);
    if class & (AddressClass::LOCAL_BACKEND | AddressClass::NODE | AddressClass::SERVICE) == 0 {
        return Err(Verdict::Pass);
    }
    parse_ports(packet, headers, AddressClass::LOCAL_BACKEND, Stage::PreviousEgress)?;
    let now = now_jiffies();
    let flow = rooms.flow.get()?;
    if class & AddressClass::LOCAL_BACKEND == 0 {
        return pass_non_reply(packet, headers, class, (flow, rooms.reply), now);
    }
    let Some((meta, assured)) = lookup(&headers.tuple, now, flow) else {
        return pass_non_reply(packet, headers, class, (flow, rooms.reply), now);
    };
    if !is_local_reply(&flow.meta) {
        return pass_non_reply(packet, headers, class, (flow, rooms.reply), now);
    }
    let is_again = flow.meta.handshake == headers.sequence.wrapping_add(1);
    if headers.flags().accepts() && !assured && flow.meta.state().is_over(false) && !is_again {
        // The client has dialled the backend directly, from the port of a connection that has ended.
        forget(flow, &headers.tuple);
        return Err(Verdict::Pass);
    }
    if !leaves_unchanged(flow, meta, assured, headers, now) {
        update_flow(packet, headers, flow, (meta, assured), now, Stage::RefreshEgress)?;
    }
    fragment::remember(headers)?;
    if has_source_rules(class) {
        packet.continue_at(Stage::Uplink);
    }
    deliver(packet, headers, flow)
}

/// Passes a packet that is not a backend's reply. SCTP from the node itself to a Service continues in the stage *own*, if there
/// is one. The other set of programs gets the packet before it is noted: a packet of a flow there must not be noted as foreign
/// here.
#[inline(always)]
fn pass_non_reply<P: Packet>(
    packet: &P,
    headers: &Headers,
    class: u8,
    (flow, reply): (&ConntrackEntry, ReplyRoom<'_>),
    now: u32,
) -> Result<(), Verdict> {
    if headers.tuple.protocol == Protocol::Sctp as u8 && class & AddressClass::NODE != 0 && is_to_service(headers) {
        packet.continue_at(Stage::Own);
    }
    try_other_set(packet, Stage::PreviousEgress);
    foreign::note(headers, class, flow, now, reply);
    Err(Verdict::Pass)
}

/// Whether a packet's destination can mean nothing but a Service.
#[inline(always)]
fn is_to_service(headers: &Headers) -> bool {
    let destination = &headers.tuple.destination;
    is_service(destination, address_class(destination))
}

/// Handles a backend's reply that has changed its flow.
#[inline(always)]
pub fn refresh_egress<P: Packet>(packet: &mut P, rooms: Rooms<'_>) -> Result<(), Verdict> {
    let (headers, flow) = (rooms.headers.get()?, rooms.flow.get()?);
    let chunk = read_chunk(packet, headers)?;
    let found = Found::load()?;
    if !refresh_flow(headers, &chunk, (&mut *flow, rooms.reply), found.assured, now_jiffies()) {
        // As in `egress`: the reply accepts a connection that this flow does not know, so the flow's own has ended.
        forget(flow, &headers.tuple);
        return Err(Verdict::Pass);
    }
    events::ended(packet, &headers.tuple, flow, found.before);
    fragment::remember(headers)?;
    if has_source_rules(address_class(&headers.tuple.source)) {
        packet.continue_at(Stage::Uplink);
    }
    deliver(packet, headers, flow)
}
