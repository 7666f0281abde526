//! Lists nf_conntrack's flows of one network namespace over ctnetlink
//! (include/uapi/linux/netfilter/nfnetlink_conntrack.h), without selecting among them.

mod attributes;

use std::{fs, io};

#[cfg(any(test, fuzzing))]
pub(super) use self::attributes::read;

use proxy_common::Tuple;

use crate::node::netfilter::{NLM_F_DUMP, ask};

/// This path exists only while nf_conntrack is loaded.
const PRESENT: &str = "/proc/sys/net/netfilter/nf_conntrack_max";

/// NFNL_SUBSYS_CTNETLINK with IPCTNL_MSG_CT_NEW: a message with a flow.
const NEW: u16 = 1 << 8;
/// NFNL_SUBSYS_CTNETLINK with IPCTNL_MSG_CT_GET: the request.
const GET: u16 = 1 << 8 | 1;

/// A flow of nf_conntrack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KernelFlow {
    /// The tuple of the client's packets as they arrive.
    pub(super) packet: Tuple,
    /// The tuple of the replies.
    pub(super) reply: Tuple,
    /// Seconds until it times out.
    pub(super) timeout: u32,
    /// Whether it is a TCP connection in the state TIME_WAIT or CLOSE.
    pub(super) is_over: bool,
}

/// Calls `found` with every flow of the calling thread's network namespace. If nf_conntrack is not loaded, there are none.
pub(super) fn flows(mut found: impl FnMut(KernelFlow)) -> io::Result<()> {
    if !fs::exists(PRESENT)? {
        return Ok(());
    }
    ask(GET, NLM_F_DUMP, |kind, _, attributes| {
        if kind == NEW {
            attributes::read(attributes).into_iter().for_each(&mut found);
        }
    })
}
