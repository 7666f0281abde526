//! The socket pipeline: `lookup service → select backend → remember → translate`, for connect(2) and sendmsg(2). recvmsg(2) and
//! getpeername(2) show the frontend again. A closed socket's entry is removed. The whole path of an east-west connection is on
//! this page.

mod connection;
pub mod context;
mod peer;
mod report;

use aya_ebpf::{EbpfContext as _, helpers::bpf_set_retval};
use aya_log_ebpf::debug;
use proxy_common::{
    AffinityKey, Counter, Frontend, Protocol, Service, Tuple, Verdict,
    decide::{Selected, check_socket, select_list},
    filter::AddressClass,
};

use self::context::{Closing, Socket};
use crate::{
    affinity::select_sticky,
    backend::{get_backend, random, select_backend},
    counters::{count, count_connection},
    maps::NODE_NETNS,
    node::node_address,
    owner::{ListensAtAddress, owner_is},
    service::lookup_service,
};

/// The result that lets the system call go on.
const ALLOW: i32 = 1;
/// The result that makes the system call fail with the error that `bpf_set_retval` has set.
const REFUSE: i32 = 0;

/// A UDP port without listeners: TCP's port multiplexer was never defined for UDP. Port 0 has no listeners either, but a socket
/// that is connected to it has no peer to show.
const CLOSED_PORT: u16 = 1;

const ECONNREFUSED: i32 = 111;
const EHOSTUNREACH: i32 = 113;

/// Connects the socket to a backend instead of the frontend.
#[inline(always)]
pub fn connect<S: Socket>(socket: &S) -> Result<(), Verdict> {
    let protocol = socket.protocol().ok_or(Verdict::Pass)?;
    let frontend = dialled(socket, protocol);
    let service = match lookup(socket, &frontend) {
        Ok(service) => service,
        Err(verdict) => {
            peer::forget(socket, protocol);
            return Err(if protocol == Protocol::Udp { refuse_later(socket, &frontend, verdict) } else { verdict });
        }
    };
    let selected = select(socket, &service).inspect_err(|_| peer::forget(socket, protocol))?;
    let backend = selected.remote(frontend.protocol);
    peer::remember_connected(socket, &frontend, &backend, &service, &selected);
    socket.set_remote(&backend);
    report::translated(socket, &frontend);
    Ok(())
}

/// Makes a UDP connect to an unserved port of a ClusterIP succeed. A UDP connect sends nothing, and programs use it to learn
/// their source address, so it must not fail (F2). The socket is connected to a port of this node without listeners: route and
/// source address are those of the frontend, and the node's stack refuses what is sent.
#[inline(always)]
fn refuse_later<S: Socket>(socket: &S, frontend: &Frontend, verdict: Verdict) -> Verdict {
    if !matches!(verdict, Verdict::Reject(_)) {
        return verdict;
    }
    let Some(address) = node_address(&frontend.address) else { return verdict };
    if let Some(counter) = Counter::of_socket(verdict) {
        count(counter);
        report::refused(socket, verdict, counter);
    }
    let closed_port = Frontend { address, port: CLOSED_PORT, ..*frontend };
    peer::remember_refused(socket, frontend, &closed_port);
    socket.set_remote(&closed_port);
    Verdict::Pass
}

/// Sends one datagram to a backend. The flow from this socket to this frontend keeps the backend (S29).
#[inline(always)]
pub fn sendmsg<S: Socket>(socket: &S) -> Result<(), Verdict> {
    let frontend = dialled(socket, socket.protocol().ok_or(Verdict::Pass)?);
    if let Some(backend) = peer::recall_sent(socket, &frontend) {
        socket.set_remote(&backend);
        return Ok(());
    }
    let service = lookup(socket, &frontend)?;
    if let Some(backend) = peer::confirm_sent(socket, &frontend, &service) {
        socket.set_remote(&backend);
        return Ok(());
    }
    let selected = select(socket, &service)?;
    let backend = selected.remote(frontend.protocol);
    peer::remember_sent(socket, &frontend, &backend, &service, &selected);
    socket.set_remote(&backend);
    report::translated(socket, &frontend);
    Ok(())
}

/// Shows the frontend as the sender of a backend's datagram.
#[inline(always)]
pub fn recvmsg<S: Socket>(socket: &S) -> i32 {
    let backend = socket.remote(Protocol::Udp);
    if let Some(frontend) = peer::recall_received(socket, &backend) {
        socket.set_remote(&frontend);
    }
    ALLOW
}

/// Shows the frontend as the peer of a connected socket.
#[inline(always)]
pub fn getpeername<S: Socket>(socket: &S) -> i32 {
    if let Some(protocol) = socket.protocol()
        && let Some(frontend) = peer::recall_connected(socket, &socket.remote(protocol))
    {
        socket.set_remote(&frontend);
    }
    ALLOW
}

/// Removes the entry of a socket that is closed. The kernel frees its storage itself.
#[inline(always)]
pub fn release(socket: &Closing) -> i32 {
    if socket.protocol() != Some(Protocol::Udp) {
        connection::close(socket);
    }
    ALLOW
}

/// The frontend that the application dials. The unspecified address becomes loopback, as in connect(2).
#[inline(always)]
fn dialled<S: Socket>(socket: &S, protocol: Protocol) -> Frontend {
    let remote = socket.remote(protocol);
    Frontend { address: remote.address.or_loopback(), ..remote }
}

#[inline(always)]
fn lookup<S: Socket>(socket: &S, frontend: &Frontend) -> Result<Service, Verdict> {
    let service = lookup_service(frontend, AddressClass::SERVICE, || socket.netns() == NODE_NETNS.load())?;
    if frontend.address.is_loopback() && stays_on_loopback(socket, frontend) {
        return Err(Verdict::Pass);
    }
    Ok(service)
}

/// Whether a call to a node port on loopback is left alone: another process listens at exactly that address, or the caller is
/// bound to loopback, from where no backend can be reached.
#[inline(always)]
fn stays_on_loopback<S: Socket>(socket: &S, frontend: &Frontend) -> bool {
    if socket.bound_address().is_loopback() {
        return true;
    }
    let (address, protocol) = (frontend.address, frontend.protocol);
    let call = Tuple { destination_port: frontend.port, ..Tuple::from_addresses(address, address, protocol) };
    owner_is::<ListensAtAddress>(socket.context().as_ptr(), &call)
}

/// Selects the backend for this client.
#[inline(always)]
fn select<S: Socket>(socket: &S, service: &Service) -> Result<Selected, Verdict> {
    check_socket(service, || socket.netns() == NODE_NETNS.load())?;
    let (range, list) = select_list(service, true)?;
    let selected = if service.affinity_timeout == 0 {
        select_backend(range, random())?
    } else {
        let key = AffinityKey::from_netns(socket.netns(), service.id);
        get_backend(select_sticky(&key, service, (range, list), random())?)?
    };
    count_connection(service.id);
    Ok(selected)
}

/// Turns the outcome into what the kernel expects, and counts it.
#[inline(always)]
pub fn finish<S: Socket>(socket: &S, outcome: Result<(), Verdict>) -> i32 {
    let verdict = outcome.err().unwrap_or(Verdict::Translated);
    if let Some(counter) = Counter::of_socket(verdict) {
        count(counter);
        report::refused(socket, verdict, counter);
    }
    let errno = match verdict {
        Verdict::Pass | Verdict::Translated | Verdict::Forwarded | Verdict::EchoReply => return ALLOW,
        Verdict::Reject(_) => ECONNREFUSED,
        Verdict::Drop(_) => EHOSTUNREACH,
    };
    debug!(socket.context(), "refused with errno {}", errno);
    // SAFETY: the helper takes a negative errno.
    unsafe { bpf_set_retval(-errno) };
    REFUSE
}
