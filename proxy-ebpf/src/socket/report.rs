//! Reports what happens to calls and to connected sockets to `waggle monitor`, as `events.rs` does for packets.

use core::{ffi::c_void, ptr::null};

use aya_ebpf::{
    bindings::{bpf_sock, bpf_sock_addr},
    helpers::{bpf_get_current_pid_tgid, bpf_get_netns_cookie, generated::bpf_get_current_comm},
    programs::SockAddrContext,
};
use proxy_common::{Connection, Counter, Event, EventHook, EventKind, Frontend, Protocol, Verdict};

use super::{
    context::{Closing, Socket},
    dialled,
};
use crate::events::{NONE, Subject, What, are_wanted, emit, service_of};

/// Reports a call that has got its backend, which must already be its address.
#[inline(always)]
pub fn translated<S: Socket>(socket: &S, frontend: &Frontend) {
    if are_wanted(EventKind::New) {
        report_call::<S>(socket.raw(), frontend, null(), EventKind::New as u32);
    }
}

/// Reports a call whose backend does not serve any more.
#[inline(always)]
pub fn left_backend<S: Socket>(socket: &S, frontend: &Frontend, backend: *const Frontend) {
    if are_wanted(EventKind::Reselect) {
        report_call::<S>(socket.raw(), frontend, backend, EventKind::Reselect as u32);
    }
}

/// Reports a call that is refused, by its verdict. The call must still have the address that the application gave.
#[inline(always)]
pub fn refused<S: Socket>(socket: &S, verdict: Verdict, counter: Counter) {
    let kind = match verdict {
        Verdict::Reject(_) => EventKind::Reject,
        Verdict::Drop(_) => EventKind::Drop,
        _ => return,
    };
    if are_wanted(kind) {
        report_refused::<S>(socket.raw(), What::new(kind, counter as u8, EventHook::Socket));
    }
}

/// Reports the end of a connected socket. `connection` is its place in SOCKET_CONNECTIONS.
#[inline(always)]
pub fn closed(socket: &Closing, connection: *const Connection) {
    if are_wanted(EventKind::End) {
        report_closed(socket.0.sock, connection);
    }
}

/// Reports a call. Without a `backend`, the call's address is the backend's. The Service is looked up once more, since its id would
/// take room on the caller's stack.
#[inline(never)]
fn report_call<S: Socket>(raw: *mut bpf_sock_addr, frontend: &Frontend, backend: *const Frontend, kind: u32) {
    let socket = S::from_context(SockAddrContext::new(raw));
    let client = socket.bound_address();
    let remote;
    // SAFETY: a backend is in the socket's storage, which lives as long as the socket. Other threads that use the socket may change
    // it: then the event may show a mix of two backends.
    let backend = if let Some(backend) = unsafe { backend.as_ref() } {
        backend
    } else {
        remote = socket.remote(Protocol::Tcp);
        &remote
    };
    let subject = Subject {
        protocol: frontend.protocol,
        service: service_of(frontend, 0),
        client: (&client, 0),
        frontend: (&frontend.address, frontend.port),
        backend: (&backend.address, backend.port),
        device: 0,
    };
    emit(What::call(kind), false, &subject, |event| note_caller(event, raw.cast()));
}

#[inline(never)]
fn report_refused<S: Socket>(raw: *mut bpf_sock_addr, what: What) {
    let socket = S::from_context(SockAddrContext::new(raw));
    let Some(protocol) = socket.protocol() else { return };
    let (client, frontend) = (socket.bound_address(), dialled(&socket, protocol));
    let subject = Subject {
        protocol: frontend.protocol,
        service: service_of(&frontend, what.reason()),
        client: (&client, 0),
        frontend: (&frontend.address, frontend.port),
        backend: (NONE, 0),
        device: 0,
    };
    emit(what, true, &subject, |event| note_caller(event, raw.cast()));
}

#[inline(never)]
fn report_closed(raw: *mut bpf_sock, connection: *const Connection) {
    // SAFETY: only the socket itself uses its place, and it is being closed.
    let Connection { frontend, backend } = unsafe { &*connection };
    let subject = Subject {
        protocol: frontend.protocol,
        service: service_of(frontend, 0),
        client: (NONE, 0),
        frontend: (&frontend.address, frontend.port),
        backend: (&backend.address, backend.port),
        device: 0,
    };
    emit(What::call(EventKind::End as u32), false, &subject, |event| note_caller(event, raw.cast()));
}

/// Notes the process that has made the call, and its network namespace.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the thread group is the upper half, and names are short")]
fn note_caller(event: &mut Event, context: *mut c_void) {
    event.process = (bpf_get_current_pid_tgid() >> 32) as u32;
    // SAFETY: the helpers take the hook's context, and room for a name.
    unsafe {
        event.netns = bpf_get_netns_cookie(context);
        bpf_get_current_comm(event.command.as_mut_ptr().cast(), event.command.len() as u32);
    }
}
