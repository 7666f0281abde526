//! What a socket remembers: the backend of the frontend that it dialled. TCP and SCTP sockets go to `connection.rs`
//! first; for all others socket-local storage holds the one peer that most sockets have, SOCKET_FLOWS the further
//! ones. A lost entry is never fatal: it shows a backend's address, or a new backend is selected.

use core::{ffi::c_void, ptr::null_mut};

use aya_ebpf::{bindings::BPF_SK_STORAGE_GET_F_CREATE, helpers::generated::bpf_sk_storage_get};
use proxy_common::{Counter, Flow, FlowRole, Frontend, List, Peer, Protocol, Service, decide::Selected};

use super::{connection, context::Socket};
use crate::{
    backend::{Memory, generation, recall},
    clock::now_ns,
    counters::count,
    maps::{SOCKET_FLOWS, SOCKET_PEERS, UDP_FLOW_TIMEOUT},
};

/// Protocol number of a peer that the socket no longer has: no real one is 0.
const NOBODY: u8 = 0;

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
    let whole = socket.whole();
    store(if whole.is_null() { socket.sk() } else { whole }, peer);
}

/// Remembers that a UDP socket connected to `nowhere`, because nobody serves `frontend`.
#[inline(always)]
pub fn remember_refused<S: Socket>(socket: &S, frontend: &Frontend, nowhere: &Frontend) {
    let peer = Peer { frontend: *frontend, backend: *nowhere, flags: Peer::CONNECTED, ..Peer::default() };
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
        // The socket's one peer chooses anew, or the place is free.
        Some(entry) if is_replaceable(entry, frontend) => {
            let peer = Peer { flags: entry.flags, ..peer };
            // SAFETY: `peer` is on this program's stack, the entry is not.
            unsafe { core::ptr::copy_nonoverlapping(&raw const peer, entry, 1) };
        }
        None => store(socket.sk(), peer),
        Some(entry) => {
            entry.flags |= Peer::MANY;
            insert(&Flow::new(socket.cookie(), *frontend, FlowRole::Sent), &peer);
            show(socket.cookie(), entry, &peer);
        }
    }
}

/// Whether an unconnected socket's storage may take the peer for `frontend`.
#[inline(always)]
fn is_replaceable(entry: &Peer, frontend: &Frontend) -> bool {
    entry.flags & Peer::CONNECTED == 0 && (entry.frontend.protocol == NOBODY || entry.frontend == *frontend)
}

/// The backend of this socket's flow to `frontend`, if nothing has changed since it was chosen.
#[inline(always)]
pub fn recall_sent<S: Socket>(socket: &S, frontend: &Frontend) -> Option<Frontend> {
    let flow = sent(socket, frontend)?;
    let now = now_ns();
    if flow.service_generation != generation(flow.service) || flow.is_idle(now, UDP_FLOW_TIMEOUT.load()) {
        return None;
    }
    flow.last_used = now;
    Some(flow.backend)
}

/// The backend of this socket's flow to `frontend` after a change: the flow keeps it if `service`, which `frontend` leads to now,
/// still lists it.
#[inline(always)]
pub fn confirm_sent<S: Socket>(socket: &S, frontend: &Frontend, service: &Service) -> Option<Frontend> {
    let flow = sent(socket, frontend)?;
    let now = now_ns();
    if flow.is_idle(now, UDP_FLOW_TIMEOUT.load()) {
        return None;
    }
    let memory = Memory {
        service: flow.service,
        backend: flow.backend_id,
        backend_generation: flow.backend_generation,
        service_generation: flow.service_generation,
        list: List::staying(service.internal_list().bit()),
    };
    let Some((_, generation)) = recall(memory).filter(|_| flow.service == service.id) else {
        count(Counter::UdpFlowMoved);
        return None;
    };
    flow.last_used = now;
    flow.service_generation = generation;
    Some(flow.backend)
}

/// The frontend to show for a datagram from `backend`.
#[inline(always)]
pub fn recall_received<S: Socket>(socket: &S, backend: &Frontend) -> Option<Frontend> {
    let entry = stored(socket)?;
    if entry.backend == *backend {
        entry.last_used = now_ns();
        return Some(entry.frontend);
    }
    if entry.flags & Peer::MANY == 0 {
        return None;
    }
    // SAFETY: the value is copied before anything else runs.
    let flow = unsafe { SOCKET_FLOWS.get(Flow::new(socket.cookie(), *backend, FlowRole::Received)) }?;
    Some(flow.frontend)
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
    (entry.flags & Peer::CONNECTED != 0 && entry.backend == *backend).then_some(entry.frontend)
}

/// The socket dials something that is no Service: it has no peer of ours any more.
#[inline(always)]
pub fn forget<S: Socket>(socket: &S, protocol: Protocol) {
    if protocol != Protocol::Udp {
        connection::remove(socket.cookie());
    }
    if let Some(entry) = stored(socket) {
        forget_connection(socket, entry);
        entry.flags = 0;
        entry.frontend.protocol = NOBODY;
        entry.backend.protocol = NOBODY;
    }
}

/// The agent must not take the socket for one that reached this backend through a Service any more.
#[inline(always)]
fn forget_connection<S: Socket>(socket: &S, entry: &Peer) {
    if entry.flags & Peer::CONNECTED != 0 && is_udp(&entry.backend) {
        // Absent is as good as removed.
        let _ = SOCKET_FLOWS.remove(Flow::new(socket.cookie(), entry.backend, FlowRole::Connected));
    }
}

/// Makes the replies of a further peer's backend come from its frontend. Where several frontends lead to one
/// backend, nothing in a reply tells which was asked: the last one is shown. A program of its own: inlined, its
/// copies crash LLVM's BPF back end.
#[inline(never)]
fn show(cookie: u64, entry: &mut Peer, peer: &Peer) {
    if entry.backend == peer.backend && entry.flags & Peer::CONNECTED == 0 {
        insert(&Flow::new(cookie, entry.frontend, FlowRole::Sent), entry);
        *entry = Peer { flags: entry.flags, ..*peer };
        return;
    }
    let received = Flow::new(cookie, peer.backend, FlowRole::Received);
    // SAFETY: the value is compared before anything else runs.
    if unsafe { SOCKET_FLOWS.get(received) }.is_none_or(|shown| shown.frontend != peer.frontend) {
        insert(&received, peer);
    }
}

/// This socket's flow to `frontend`.
#[inline(always)]
#[expect(clippy::mut_from_ref, reason = "the flow is the kernel's, not part of the context")]
fn sent<'a, S: Socket>(socket: &'a S, frontend: &Frontend) -> Option<&'a mut Peer> {
    let entry = stored(socket)?;
    if entry.frontend == *frontend {
        return Some(entry);
    }
    if entry.flags & Peer::MANY == 0 {
        return None;
    }
    let flow = SOCKET_FLOWS.get_ptr_mut(Flow::new(socket.cookie(), *frontend, FlowRole::Sent))?;
    // SAFETY: valid until the program ends. The map may reuse the entry for another flow at any time: then the frontend differs,
    // or, at worst, this call makes that flow expire early.
    let flow = unsafe { &mut *flow };
    if flow.frontend != *frontend {
        return None;
    }
    show(socket.cookie(), entry, flow);
    Some(flow)
}

#[inline(always)]
fn is_udp(remote: &Frontend) -> bool {
    remote.protocol == Protocol::Udp as u8
}

#[inline(always)]
fn peer(frontend: &Frontend, backend: &Frontend, service: &Service, selected: &Selected, flags: u32) -> Peer {
    // TCP ends by itself; only UDP flows go idle and are moved.
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
#[expect(clippy::mut_from_ref, reason = "the storage is the kernel's, not part of the context")]
fn stored<S: Socket>(socket: &S) -> Option<&mut Peer> {
    // SAFETY: socket-local storage lives as long as the socket, which the hook holds.
    unsafe { storage(socket.sk(), null_mut(), 0).as_mut() }
}

/// Makes `peer` the stored one of the socket at `sk`. Most sockets have none yet, so that making the storage is tried
/// before looking for it.
#[inline(always)]
fn store(sk: *mut c_void, mut peer: Peer) {
    let entry = storage(sk, &raw mut peer, BPF_SK_STORAGE_GET_F_CREATE);
    if entry.is_null() {
        return count(Counter::MapFull);
    }
    // SAFETY: the storage lives as long as the socket; `peer` is on this program's stack, the entry is not.
    unsafe { core::ptr::copy_nonoverlapping(&raw const peer, entry, 1) };
}

#[inline(always)]
fn storage(sk: *mut c_void, initial: *mut Peer, flags: u32) -> *mut Peer {
    let map = (&raw const SOCKET_PEERS).cast_mut().cast();
    // SAFETY: the helper takes a null or valid socket and a null or valid initial value of the map's type.
    unsafe { bpf_sk_storage_get(map, sk, initial.cast(), flags.into()).cast() }
}

#[inline(always)]
fn insert(flow: &Flow, peer: &Peer) {
    if SOCKET_FLOWS.insert(flow, peer, 0).is_err() {
        count(Counter::MapFull);
    }
}
