//! The clocks: jiffies for flows, nanoseconds for sockets and session affinity; and how long each state of a
//! flow lasts without a packet (S40).

use aya_ebpf::helpers::{bpf_ktime_get_coarse_ns, generated::bpf_jiffies64};
use proxy_common::{EntryMeta, Protocol, State};

use crate::maps::{
    STOPPED_AT, TIMEOUT_SCTP_CLOSED, TIMEOUT_SCTP_COOKIE_WAIT, TIMEOUT_SCTP_ESTABLISHED,
    TIMEOUT_SCTP_SHUTDOWN_ACK_SENT, TIMEOUT_SCTP_SHUTDOWN_RECEIVED, TIMEOUT_SCTP_SHUTDOWN_SENT, TIMEOUT_TCP_CLOSE,
    TIMEOUT_TCP_CLOSE_WAIT, TIMEOUT_TCP_ESTABLISHED, TIMEOUT_TCP_FIN_WAIT, TIMEOUT_TCP_SYN_RECEIVED,
    TIMEOUT_TCP_SYN_SENT, TIMEOUT_TCP_TIME_WAIT, TIMEOUT_UDP, TIMEOUT_UDP_STREAM,
};

/// Jiffies, modulo 2³².
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "ages are far below 2^32 jiffies")]
pub fn now_jiffies() -> u32 {
    let stopped = STOPPED_AT.load();
    if stopped != 0 {
        return stopped;
    }
    // SAFETY: takes no arguments.
    unsafe { bpf_jiffies64() as u32 }
}

/// The time for a flow that opens now: see [`EntryMeta::opened`].
#[inline(always)]
pub fn opening_time() -> u32 {
    let stopped = STOPPED_AT.load();
    // SAFETY: takes no arguments.
    EntryMeta::opening(if stopped != 0 { stopped.into() } else { unsafe { bpf_jiffies64() } })
}

/// The kernel's coarse monotonic clock, ns: a few ms of resolution for a cheap call.
#[inline(always)]
pub fn now_ns() -> u64 {
    let stopped = STOPPED_AT.load();
    if stopped != 0 {
        // Only differences count.
        return u64::from(stopped) * 1_000_000;
    }
    // SAFETY: takes no arguments.
    unsafe { bpf_ktime_get_coarse_ns() }
}

/// The timeout of a flow, jiffies. Each constant is read in its own match arm: reading all of them first would take time, and
/// stack for those of SCTP.
#[inline(always)]
pub fn timeout(protocol: u8, state: State) -> u32 {
    if protocol == Protocol::Tcp as u8 {
        return connection_timeout(state);
    }
    if protocol == Protocol::Sctp as u8 {
        return association_timeout(state);
    }
    if state.is_assured() { TIMEOUT_UDP_STREAM.load() } else { TIMEOUT_UDP.load() }
}

#[inline(always)]
fn connection_timeout(state: State) -> u32 {
    match state {
        State::New => TIMEOUT_TCP_SYN_SENT.load(),
        State::Replied => TIMEOUT_TCP_SYN_RECEIVED.load(),
        State::Established | State::Foreign => TIMEOUT_TCP_ESTABLISHED.load(),
        State::ClientClosed | State::BackendClosed => TIMEOUT_TCP_FIN_WAIT.load(),
        State::ClientFinished | State::BackendFinished => TIMEOUT_TCP_CLOSE_WAIT.load(),
        State::Closed => TIMEOUT_TCP_TIME_WAIT.load(),
        State::Reset => TIMEOUT_TCP_CLOSE.load(),
    }
}

/// The timeout of an association. States that SCTP does not have count as those of one side that has closed (`association.rs` of
/// `proxy-common`).
#[inline(always)]
fn association_timeout(state: State) -> u32 {
    match state {
        State::New | State::Replied => TIMEOUT_SCTP_COOKIE_WAIT.load(),
        State::Established | State::Foreign => TIMEOUT_SCTP_ESTABLISHED.load(),
        State::ClientClosed | State::ClientFinished => TIMEOUT_SCTP_SHUTDOWN_SENT.load(),
        State::BackendClosed | State::BackendFinished => TIMEOUT_SCTP_SHUTDOWN_RECEIVED.load(),
        State::Closed => TIMEOUT_SCTP_SHUTDOWN_ACK_SENT.load(),
        State::Reset => TIMEOUT_SCTP_CLOSED.load(),
    }
}
