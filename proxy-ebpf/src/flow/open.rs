//! Opens a flow: selects the backend and the source address and port, and inserts the flow's entries. Does not touch the
//! packet.

use core::ffi::c_void;

use proxy_common::{
    Address, AffinityKey, Backend, ConntrackEntry, Counter, DropReason, EntryMeta, Frontend, FrontendKind, Headers,
    Ipv4ConntrackEntry, List, Protocol, RejectReason, Service, State, Tuple, Verdict,
    decide::{Selected, check_client, select_list},
    filter::AddressClass,
    select::connection_number,
};

use super::{
    conntrack::{KeyOwner, insert_original},
    source_port::claim_port,
    table::FlowTable,
};
use crate::{
    affinity::select_sticky,
    backend::{generation, get_backend, random, select_backend},
    clock::{opening_time, timeout},
    counters::{count, count_connection},
    events,
    filter::filter_address,
    live::Live,
    maps::SECRET,
    node::{node_address, own_address},
    owner::{IsConnected, owner_is},
    packet::Packet,
    scratch::ReplyRoom,
    service::lookup_service,
};

/// Opens a flow: selects the backend and inserts the flow's entries. `is_own`, a constant, says that a process of this node has
/// sent the packet. Otherwise returns the verdict about a packet that opens no flow.
#[inline(always)]
pub fn open_flow<P: Packet>(
    packet: &P,
    is_own: bool,
    headers: &Headers,
    now: u32,
    (flow, room): (&mut ConntrackEntry, ReplyRoom<'_>),
) -> Result<(), Verdict> {
    let tuple = &headers.tuple;
    // The client is on this node (S17).
    let internal = is_own || packet.is_from_pod();
    let mut service = Service::default();
    if let Some(refusal) = Verdict::from_code(find_service(tuple, &mut service)) {
        return Err(refusal);
    }
    if service.kind != FrontendKind::ClusterIp as u8 && belongs_to_socket(packet.context(), tuple) {
        return Err(Verdict::Pass);
    }
    check_client(&Live, &service, &tuple.source)?;
    // This holds for SCTP, too: only its own backend knows an association that was opened by an earlier packet.
    if tuple.protocol != Protocol::Udp as u8 && !headers.flags().opens() {
        return Err(Verdict::Reject(RejectReason::UnknownConnection));
    }
    let random = random_for(headers);
    let mut id = 0;
    if let Some(refusal) = Verdict::from_code(select(&service, internal, &tuple.source, random, &mut id)) {
        return Err(refusal);
    }
    let opening = Opening { context: packet.context(), is_own, now, random };
    if insert_flow(headers, &service, service.list(internal).1, &get_backend(id)?, opening, (&mut *flow, room))? {
        count_connection(service.id);
        count(Counter::FlowOpened);
        events::opened(packet, tuple, flow);
    }
    Ok(())
}

/// Whether a datagram is for a socket of this node that is connected to the sender. If the socket has sent a datagram to its peer,
/// that was noted when it left (`foreign.rs`), unless it left by a device that is not served, or before this program was attached.
#[inline(always)]
fn belongs_to_socket(context: *mut c_void, tuple: &Tuple) -> bool {
    tuple.protocol == Protocol::Udp as u8 && owner_is::<IsConnected>(context, tuple)
}

/// The number that selects a flow's backend: the same for each retransmission of a SYN or INIT.
#[inline(always)]
fn random_for(headers: &Headers) -> u32 {
    if headers.tuple.protocol == Protocol::Udp as u8 {
        random()
    } else {
        connection_number(&headers.tuple, headers.sequence, SECRET.load())
    }
}

/// Writes the service of a packet's destination to `service`. Returns 0, or the code of the verdict if there is none. A
/// subprogram, so that it has a stack of its own.
#[inline(never)]
fn find_service(tuple: &Tuple, service: &mut Service) -> u32 {
    let frontend = Frontend::new(tuple.destination, tuple.destination_port, tuple.protocol);
    let class = filter_address(&tuple.destination, AddressClass::SERVICE).unwrap_or(0);
    match lookup_service(&frontend, class, || false) {
        Ok(found) => {
            *service = found;
            0
        }
        Err(refusal) => refusal.code(),
    }
}

/// Whether a packet without a flow certainly belongs to a Service. At an address that the node may have itself, only a packet
/// that opens a flow does (S39).
#[inline(never)]
pub fn is_certainly_served(headers: &Headers) -> bool {
    let mut service = Service::default();
    match Verdict::from_code(find_service(&headers.tuple, &mut service)) {
        None => service.kind == FrontendKind::ClusterIp as u8 || headers.flags().opens(),
        Some(refusal) => refusal != Verdict::Pass,
    }
}

/// Writes the id of the backend for this client to `id`. Returns 0, or the code of the refusal.
#[inline(never)]
fn select(service: &Service, internal: bool, client: &Address, random: u32, id: &mut u32) -> u32 {
    let client = AffinityKey::from_address(*client, service.id);
    let found = select_list(service, internal).and_then(|(range, list)| {
        if service.affinity_timeout == 0 {
            select_backend(range, random).map(|selected| selected.id)
        } else {
            select_sticky(&client, service, (range, list), random)
        }
    });
    match found {
        Ok(found) => {
            *id = found;
            0
        }
        Err(refusal) => refusal.code(),
    }
}

/// The circumstances in which a flow is opened.
#[derive(Clone, Copy)]
struct Opening {
    /// The hook's context.
    context: *mut c_void,
    /// A process of this node has sent the packet.
    is_own: bool,
    now: u32,
    /// The seed of the source ports that are tried.
    random: u32,
}

/// Inserts a flow. Returns false if it was there already.
#[inline(always)]
fn insert_flow(
    headers: &Headers,
    service: &Service,
    list: List,
    selected: &Selected,
    opening: Opening,
    (flow, room): (&mut ConntrackEntry, ReplyRoom<'_>),
) -> Result<bool, Verdict> {
    let (tuple, backend) = (&headers.tuple, &selected.backend);
    // The replies of a backend on this node pass through this node, so that the backend may see the client's address. A backend
    // on this node whose replies bypass the node sees the node's address, unless the policy keeps the client's (S26).
    let here = backend.is_local() || backend.replies_bypass() && list == List::Local;
    // A client that is the backend itself would not take a reply from itself (S27). A packet of this node's own is on its way out,
    // and can't go up the stack.
    let local = here && backend.address != tuple.source && !opening.is_own;
    let source = if local { tuple.source } else { source_address(backend).ok_or(NO_ADDRESS)? };
    *flow = ConntrackEntry {
        source,
        destination: backend.address,
        source_port: tuple.source_port,
        destination_port: backend.port,
        meta: EntryMeta {
            expires: opening.now.wrapping_add(timeout(tuple.protocol, State::New)),
            service: service.id,
            state: State::New as u8,
            flags: EntryMeta::flag_of(list) | if local { EntryMeta::LOCAL } else { 0 },
            #[expect(clippy::cast_possible_truncation, reason = "the entry has room for the lower half")]
            backend_generation: backend.generation as u16,
            backend: selected.id,
            service_generation: generation(service.id),
            ..EntryMeta::default()
        },
    };
    flow.meta.opened = opening_time();
    if tuple.protocol == Protocol::Sctp as u8 {
        flow.meta.handshake = headers.sequence;
    }
    if tuple.source.is_ipv4() {
        insert_flow_in::<Ipv4ConntrackEntry>(tuple, (flow, room), opening)
    } else {
        insert_flow_in::<ConntrackEntry>(tuple, (flow, room), opening)
    }
}

/// Inserts a flow under the key of its replies, which no other flow may have, and under that of its packets. A TCP connection
/// gets the latter only when the backend replies: a retransmitted SYN selects the same backend (docs/adr/0007). Returns false if
/// the flow was there already.
#[inline(always)]
fn insert_flow_in<E: FlowTable>(
    tuple: &Tuple,
    (flow, room): (&mut ConntrackEntry, ReplyRoom<'_>),
    opening: Opening,
) -> Result<bool, Verdict> {
    let Opening { context, now, random, .. } = opening;
    let owner = claim_port::<E>(context, tuple, flow, room, now, random);
    if owner == KeyOwner::OtherFlow as u32 {
        return Err(Verdict::Drop(DropReason::SnatPortsExhausted));
    }
    if tuple.protocol == Protocol::Tcp as u8 {
        return Ok(owner == KeyOwner::Free as u32);
    }
    Verdict::from_code(insert_original::<E>(tuple, flow, now)).map_or(Ok(true), Err)
}

const NO_ADDRESS: Verdict = Verdict::Drop(DropReason::NoNodeAddress);

/// The source address of this node for packets to a backend, if there is one.
#[inline(always)]
fn source_address(backend: &Backend) -> Option<Address> {
    match backend.source() {
        0 => node_address(&backend.address),
        index => own_address(index.into()),
    }
}
