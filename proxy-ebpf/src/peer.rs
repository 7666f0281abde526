//! What a socket remembers: who answers for the frontend it dialled. Socket-local storage holds the one
//! peer that most sockets have; SOCKET_FLOWS the further ones. Forgetting is never fatal: a lost entry
//! shows a backend's address or chooses anew.

use aya_ebpf::helpers::bpf_sk_storage_delete;
use proxy_common::{Counter, Flow, FlowRole, Frontend, Peer, Protocol, Service};

use crate::{
    affinity::now,
    backend::{Memory, Selected, generation, recall},
    context::Socket,
    counters::count,
    maps::{SOCKET_FLOWS, SOCKET_PEERS, UDP_FLOW_TIMEOUT},
};

/// Remembers the peer of a connecting socket.
#[inline(always)]
pub fn remember_connected<S: Socket>(
    socket: &S,
    frontend: &Frontend,
    backend: &Frontend,
    service: &Service,
    selected: &Selected,
) {
    let peer = peer(frontend, backend, service, selected, Peer::CONNECTED);
    if let Some(entry) = stored(socket) {
        forget_connection(socket, entry);
    }
    store(socket, peer);
    if frontend.protocol == Protocol::Udp as u8 {
        insert(&Flow::new(socket.cookie(), *backend, FlowRole::Connected), &peer);
    }
}

/// Remembers whom an unconnected socket's datagrams to `frontend` go to.
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
        // The socket's one peer, or its first.
        Some(entry) if entry.flags & Peer::CONNECTED == 0 && entry.frontend == *frontend => {
            *entry = Peer { flags: entry.flags, ..peer };
        }
        None => store(socket, peer),
        Some(entry) => {
            entry.flags |= Peer::MANY;
            insert(&Flow::new(socket.cookie(), *frontend, FlowRole::Sent), &peer);
            show(socket.cookie(), entry, &peer);
        }
    }
}

/// The backend that this socket's flow to `frontend` has, if it may keep it.
#[inline(always)]
pub fn recall_sent<S: Socket>(socket: &S, frontend: &Frontend) -> Option<Frontend> {
    let entry = stored(socket)?;
    if entry.frontend == *frontend {
        return keep(entry);
    }
    if entry.flags & Peer::MANY == 0 {
        return None;
    }
    let flow = SOCKET_FLOWS.get_ptr_mut(Flow::new(socket.cookie(), *frontend, FlowRole::Sent))?;
    // SAFETY: valid until the program ends; a reused entry is found out by the comparison in `keep`.
    let flow = unsafe { &mut *flow };
    if flow.frontend != *frontend {
        return None;
    }
    let backend = keep(flow)?;
    show(socket.cookie(), entry, flow);
    Some(backend)
}

/// Makes the answers of a further peer's backend come from its frontend. Where several frontends lead to one
/// backend, nothing in an answer tells which was asked: the last one is shown. A program of its own: inlined, its
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

/// The frontend to show for a datagram from `backend`.
#[inline(always)]
pub fn recall_received<S: Socket>(socket: &S, backend: &Frontend) -> Option<Frontend> {
    let entry = stored(socket)?;
    if entry.backend == *backend {
        entry.last_used = now();
        return Some(entry.frontend);
    }
    if entry.flags & Peer::MANY == 0 {
        return None;
    }
    // SAFETY: the value is copied before anything else runs.
    let flow = unsafe { SOCKET_FLOWS.get(Flow::new(socket.cookie(), *backend, FlowRole::Received)) }?;
    Some(flow.frontend)
}

/// The frontend that the socket connected to, if `backend` is who answers for it.
#[inline(always)]
pub fn recall_connected<S: Socket>(socket: &S, backend: &Frontend) -> Option<Frontend> {
    let entry = stored(socket)?;
    (entry.flags & Peer::CONNECTED != 0 && entry.backend == *backend).then_some(entry.frontend)
}

/// The socket dials something that is no Service: it has no peer of ours any more.
#[inline(always)]
pub fn forget<S: Socket>(socket: &S) {
    if let Some(entry) = stored(socket) {
        forget_connection(socket, entry);
        // SAFETY: `stored` has shown that the socket exists.
        unsafe {
            let sk = (*socket.raw()).__bindgen_anon_1.sk;
            let _ = bpf_sk_storage_delete((&raw const SOCKET_PEERS).cast_mut().cast(), sk.cast());
        }
    }
}

/// The agent must not take the socket for one that reached this backend through a Service any more.
#[inline(always)]
fn forget_connection<S: Socket>(socket: &S, entry: &Peer) {
    if entry.flags & Peer::CONNECTED != 0 && entry.backend.protocol == Protocol::Udp as u8 {
        // Absent is as good as removed.
        let _ = SOCKET_FLOWS.remove(Flow::new(socket.cookie(), entry.backend, FlowRole::Connected));
    }
}

/// A flow's backend, unless the flow went idle or the backend left the list.
#[inline(always)]
fn keep(entry: &mut Peer) -> Option<Frontend> {
    let now = now();
    if entry.is_idle(now, UDP_FLOW_TIMEOUT.load()) {
        return None;
    }
    let memory = Memory {
        service: entry.service,
        backend: entry.backend_id,
        backend_generation: entry.backend_generation,
        service_generation: entry.service_generation,
        list: entry.list,
    };
    let Some((_, generation)) = recall(memory) else {
        count(Counter::UdpFlowMoved);
        return None;
    };
    entry.last_used = now;
    entry.service_generation = generation;
    Some(entry.backend)
}

#[inline(always)]
fn peer(frontend: &Frontend, backend: &Frontend, service: &Service, selected: &Selected, flags: u32) -> Peer {
    Peer {
        frontend: *frontend,
        backend: *backend,
        service: service.id,
        backend_id: selected.id,
        backend_generation: selected.backend.generation,
        service_generation: generation(service.id),
        flags,
        list: service.internal_list().bit(),
        last_used: now(),
    }
}

/// The socket's storage. A hook without a socket has none.
#[inline(always)]
fn stored<S: Socket>(socket: &S) -> Option<&mut Peer> {
    // SAFETY: socket-local storage lives as long as the socket, which the hook holds.
    unsafe { SOCKET_PEERS.get_ptr_mut(socket.context()).as_mut() }
}

#[inline(always)]
fn store<S: Socket>(socket: &S, mut peer: Peer) {
    // SAFETY: as in `stored`.
    match unsafe { SOCKET_PEERS.get_or_insert_ptr_mut(socket.context(), Some(&mut peer)).as_mut() } {
        Some(entry) => *entry = peer,
        None => count(Counter::MapFull),
    }
}

#[inline(always)]
fn insert(flow: &Flow, peer: &Peer) {
    if SOCKET_FLOWS.insert(flow, peer, 0).is_err() {
        count(Counter::MapFull);
    }
}
