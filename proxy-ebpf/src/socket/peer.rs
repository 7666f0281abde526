//! The frontends that sockets have dialled, and their backends. TCP and SCTP sockets are in `connection.rs` if they find a place
//! there. For all others, socket-local storage holds the one peer that most sockets have, and SOCKET_FLOWS holds further ones. A
//! lost entry is never fatal: a backend's address is shown, or a new backend is selected.
//!
//! Threads that use one socket at the same time read and write its storage without a lock. While one of them selects a new
//! backend for a frontend, another one may read the old backend, the new one, or a mix of the words of their addresses. A mix
//! loses one datagram, as datagrams may be lost. A whole peer is replaced by another one only if both have the same backend, if
//! the socket has forgotten its peer, or if it connects. A thread that sends to a frontend at that moment may use the other
//! peer's backend for one datagram.

use core::{
    ffi::c_void,
    ptr::{NonNull, null_mut},
};

use aya_ebpf::{bindings::BPF_SK_STORAGE_GET_F_CREATE, helpers::generated::bpf_sk_storage_get};
use proxy_common::{Counter, Flow, FlowRole, Frontend, List, Peer, Protocol, Service, Shared, decide::Selected};

use super::{connection, context::Socket, report};
use crate::{
    backend::{Remembered, generation, recall},
    clock::now_ns,
    counters::count,
    lookup::Lookup as _,
    maps::{SOCKET_FLOWS, SOCKET_PEERS, UDP_FLOW_TIMEOUT},
};

/// Protocol number that marks a forgotten peer. No protocol of Services has it.
const NO_PEER: u8 = 0;

/// Remembers the peer of a connecting socket.
#[inline(always)]
pub fn remember_connected<S: Socket>(
    socket: &S,
    frontend: &Frontend,
    backend: &Frontend,
    service: &Service,
    selected: &Selected,
) {
    if !is_udp(frontend) && connection::remember(socket, frontend, backend) {
        return;
    }
    let peer = peer(frontend, backend, service, selected, Peer::CONNECTED);
    if is_udp(frontend) {
        if let Some(entry) = stored(socket) {
            forget_connection(socket, entry);
        }
        insert(&Flow::new(socket.cookie(), *backend, FlowRole::Connected), &peer);
        return store(socket.sk(), peer);
    }
    let mptcp_sk = socket.mptcp_sk();
    store(if mptcp_sk.is_null() { socket.sk() } else { mptcp_sk }, peer);
}

/// Remembers that a UDP socket was connected to `closed_port`, because `frontend` is not served.
#[inline(always)]
pub fn remember_refused<S: Socket>(socket: &S, frontend: &Frontend, closed_port: &Frontend) {
    let peer = Peer { frontend: *frontend, backend: *closed_port, flags: Peer::CONNECTED, ..Peer::default() };
    store(socket.sk(), peer);
}

/// Remembers the backend of an unconnected socket's datagrams to `frontend`.
#[inline(always)]
pub fn remember_sent<S: Socket>(
    socket: &S,
    frontend: &Frontend,
    backend: &Frontend,
    service: &Service,
    selected: &Selected,
) {
    let peer = peer(frontend, backend, service, selected, 0);
    match stored(socket) {
        // The socket's only peer gets a new backend, or the storage has no peer.
        Some(entry) if is_replaceable(entry, frontend) => {
            entry.write(&Peer { flags: entry.flags().read(), ..peer });
        }
        None => store(socket.sk(), peer),
        Some(entry) => {
            entry.flags().write(&(entry.flags().read() | Peer::MANY));
            insert(&Flow::new(socket.cookie(), *frontend, FlowRole::Sent), &peer);
            show(socket.cookie(), entry, &peer);
        }
    }
}

/// Whether an unconnected socket's storage may take the peer for `frontend`.
#[inline(always)]
fn is_replaceable(entry: Shared<Peer>, frontend: &Frontend) -> bool {
    entry.flags().read() & Peer::CONNECTED == 0
        && (entry.frontend().protocol().read() == NO_PEER || entry.frontend().read() == *frontend)
}

/// The backend of this socket's flow to `frontend`, if nothing has changed since it was chosen and the flow has not been idle.
#[inline(always)]
pub fn recall_sent<S: Socket>(socket: &S, frontend: &Frontend) -> Option<Frontend> {
    let flow = sent(socket, frontend)?;
    let now = now_ns();
    if flow.service_generation().read() != generation(flow.service().read()) || is_idle(flow, now) {
        return None;
    }
    flow.last_used().write(&now);
    Some(flow.backend().read())
}

/// Whether a UDP flow has been idle for too long at time `now` (ns).
#[inline(always)]
fn is_idle(flow: Shared<Peer>, now: u64) -> bool {
    Peer { last_used: flow.last_used().read(), ..Peer::default() }.is_idle(now, UDP_FLOW_TIMEOUT.load())
}

/// The backend of this socket's flow to `frontend` after a change, if `service`, which is behind `frontend` now, still has it.
#[inline(always)]
pub fn confirm_sent<S: Socket>(socket: &S, frontend: &Frontend, service: &Service) -> Option<Frontend> {
    let flow = sent(socket, frontend)?;
    let now = now_ns();
    if is_idle(flow, now) {
        return None;
    }
    let memory = Remembered {
        service: flow.service().read(),
        backend: flow.backend_id().read(),
        service_generation: flow.service_generation().read(),
        list: List::serving(service.internal_list().bit()),
    };
    let remembered = flow.backend_generation().read();
    let recalled = recall(memory, |backend| backend.generation == remembered);
    let Some((_, generation)) = recalled.filter(|_| memory.service == service.id) else {
        count(Counter::UdpFlowMoved);
        report::left_backend(socket, frontend, flow.backend().as_ptr());
        return None;
    };
    flow.last_used().write(&now);
    flow.service_generation().write(&generation);
    Some(flow.backend().read())
}

/// The frontend to show for a datagram from `backend`.
#[inline(always)]
pub fn recall_received<S: Socket>(socket: &S, backend: &Frontend) -> Option<Frontend> {
    let entry = stored(socket)?;
    if entry.backend().read() == *backend {
        entry.last_used().write(&now_ns());
        return Some(entry.frontend().read());
    }
    if entry.flags().read() & Peer::MANY == 0 {
        return None;
    }
    let flow = SOCKET_FLOWS.get_shared(Flow::new(socket.cookie(), *backend, FlowRole::Received))?;
    Some(flow.frontend().read())
}

/// The frontend that the socket connected to, if `backend` is its backend.
#[inline(always)]
pub fn recall_connected<S: Socket>(socket: &S, backend: &Frontend) -> Option<Frontend> {
    if !is_udp(backend)
        && let Some(frontend) = connection::recall(socket, backend)
    {
        return Some(frontend);
    }
    let entry = stored(socket)?;
    let is_its_own = entry.flags().read() & Peer::CONNECTED != 0 && entry.backend().read() == *backend;
    if is_its_own { Some(entry.frontend().read()) } else { None }
}

/// Forgets the socket's peer, since the socket now dials something that is not served.
#[inline(always)]
pub fn forget<S: Socket>(socket: &S, protocol: Protocol) {
    if protocol != Protocol::Udp {
        connection::remove(socket.cookie());
    }
    if let Some(entry) = stored(socket) {
        forget_connection(socket, entry);
        entry.flags().write(&0);
        entry.frontend().protocol().write(&NO_PEER);
        entry.backend().protocol().write(&NO_PEER);
    }
}

/// Removes the entry by which the agent finds a connected UDP socket: the socket leaves this backend.
#[inline(always)]
fn forget_connection<S: Socket>(socket: &S, entry: Shared<Peer>) {
    let backend = entry.backend();
    if entry.flags().read() & Peer::CONNECTED != 0 && backend.protocol().read() == Protocol::Udp as u8 {
        // The entry may be absent already.
        let _ = SOCKET_FLOWS.remove(Flow::new(socket.cookie(), backend.read(), FlowRole::Connected));
    }
}

/// Makes replies from the backend of a further peer show that peer's frontend. If several frontends lead to one backend, a reply
/// does not tell which of them was asked, and the last one is shown. A subprogram, since inlined copies of it crash LLVM's BPF
/// back end.
#[inline(never)]
fn show(cookie: u64, entry: Shared<Peer>, peer: &Peer) {
    let before = entry.read();
    if before.backend == peer.backend && before.flags & Peer::CONNECTED == 0 {
        insert(&Flow::new(cookie, before.frontend, FlowRole::Sent), &before);
        entry.write(&Peer { flags: before.flags, ..*peer });
        return;
    }
    let received = Flow::new(cookie, peer.backend, FlowRole::Received);
    if SOCKET_FLOWS.get_shared(received).is_none_or(|shown| shown.frontend().read() != peer.frontend) {
        insert(&received, peer);
    }
}

/// This socket's flow to `frontend`.
#[inline(always)]
fn sent<S: Socket>(socket: &S, frontend: &Frontend) -> Option<Shared<Peer>> {
    let entry = stored(socket)?;
    if entry.frontend().read() == *frontend {
        return Some(entry);
    }
    if entry.flags().read() & Peer::MANY == 0 {
        return None;
    }
    // The map may reuse the entry for another flow at any time. Then the frontend differs. If it happens after this check, one
    // datagram may go to the other flow's backend, and that flow is refreshed.
    let flow = SOCKET_FLOWS.get_shared(Flow::new(socket.cookie(), *frontend, FlowRole::Sent))?;
    let peer = flow.read();
    if peer.frontend != *frontend {
        return None;
    }
    show(socket.cookie(), entry, &peer);
    Some(flow)
}

#[inline(always)]
fn is_udp(remote: &Frontend) -> bool {
    remote.protocol == Protocol::Udp as u8
}

#[inline(always)]
fn peer(frontend: &Frontend, backend: &Frontend, service: &Service, selected: &Selected, flags: u32) -> Peer {
    // TCP connections end by themselves. Only UDP flows go idle and are moved.
    let (service_generation, last_used) = if is_udp(frontend) { (generation(service.id), now_ns()) } else { (0, 0) };
    Peer {
        frontend: *frontend,
        backend: *backend,
        service: service.id,
        backend_id: selected.id,
        backend_generation: selected.backend.generation,
        service_generation,
        flags,
        list: service.internal_list().bit(),
        last_used,
    }
}

/// The socket's storage. A hook without a socket has none.
#[inline(always)]
fn stored<S: Socket>(socket: &S) -> Option<Shared<Peer>> {
    storage(socket.sk(), null_mut(), 0)
}

/// Stores `peer` as the peer of the socket at `sk`. Most sockets have no storage yet, so the flag of the helper creates it.
#[inline(always)]
fn store(sk: *mut c_void, mut peer: Peer) {
    match storage(sk, &raw mut peer, BPF_SK_STORAGE_GET_F_CREATE) {
        Some(entry) => entry.write(&peer),
        None => count(Counter::MapFull),
    }
}

#[inline(always)]
fn storage(sk: *mut c_void, initial: *mut Peer, flags: u32) -> Option<Shared<Peer>> {
    let map = (&raw const SOCKET_PEERS).cast_mut().cast();
    // SAFETY: the helper takes a null or valid socket and a null or valid initial value of the map's type. Its result lives as
    // long as the socket, which the hook holds, and has the map's alignment.
    unsafe {
        let entry = bpf_sk_storage_get(map, sk, initial.cast(), flags.into()).cast();
        NonNull::new(entry).map(|entry| Shared::new(entry))
    }
}

#[inline(always)]
fn insert(flow: &Flow, peer: &Peer) {
    if SOCKET_FLOWS.insert(flow, peer, 0).is_err() {
        count(Counter::MapFull);
    }
}
