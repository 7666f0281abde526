//! The clock of flows, and how long each state of a flow lasts without a packet (S40).

use aya_ebpf::helpers::generated::bpf_jiffies64;
use proxy_common::{Protocol, State, Timeouts};

use crate::maps::{
    STOPPED_AT, TIMEOUT_SCTP_CLOSED, TIMEOUT_SCTP_COOKIE_WAIT, TIMEOUT_SCTP_ESTABLISHED,
    TIMEOUT_SCTP_SHUTDOWN_ACK_SENT, TIMEOUT_SCTP_SHUTDOWN_RECEIVED, TIMEOUT_SCTP_SHUTDOWN_SENT, TIMEOUT_TCP_CLOSE,
    TIMEOUT_TCP_CLOSE_WAIT, TIMEOUT_TCP_ESTABLISHED, TIMEOUT_TCP_FIN_WAIT, TIMEOUT_TCP_SYN_RECEIVED,
    TIMEOUT_TCP_SYN_SENT, TIMEOUT_TCP_TIME_WAIT, TIMEOUT_UDP, TIMEOUT_UDP_STREAM,
};

/// Jiffies, modulo 2³².
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "ages are far below 2^32 jiffies")]
pub fn now() -> u32 {
    let stopped = STOPPED_AT.load();
    if stopped != 0 {
        return stopped;
    }
    // SAFETY: takes no arguments.
    unsafe { bpf_jiffies64() as u32 }
}

/// The timeout of a flow, jiffies. The arms that are not taken cost nothing: each is a constant.
#[inline(always)]
pub fn timeout(protocol: u8, state: State) -> u32 {
    if protocol == Protocol::Sctp as u8 {
        return association_timeout(state);
    }
    let timeouts = Timeouts {
        tcp_syn_sent: TIMEOUT_TCP_SYN_SENT.load(),
        tcp_syn_received: TIMEOUT_TCP_SYN_RECEIVED.load(),
        tcp_established: TIMEOUT_TCP_ESTABLISHED.load(),
        tcp_fin_wait: TIMEOUT_TCP_FIN_WAIT.load(),
        tcp_close_wait: TIMEOUT_TCP_CLOSE_WAIT.load(),
        tcp_time_wait: TIMEOUT_TCP_TIME_WAIT.load(),
        tcp_close: TIMEOUT_TCP_CLOSE.load(),
        udp: TIMEOUT_UDP.load(),
        udp_stream: TIMEOUT_UDP_STREAM.load(),
    };
    timeouts.of(protocol, state)
}

/// Of an association; states that SCTP has not are those of one side that has closed (`association.rs` of `proxy-common`).
/// Each is read in its own arm: a structure of all would need the stack.
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
