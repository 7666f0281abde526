//! Reads netfilter's table of flows of one network namespace over ctnetlink
//! (include/uapi/linux/netfilter/nfnetlink_conntrack.h). It does not choose among them.

mod attributes;

use std::{fs, io};

use proxy_common::Tuple;

use crate::node::netfilter::{NLM_F_DUMP, ask};

/// There only in kernels that have nf_conntrack loaded.
const PRESENT: &str = "/proc/sys/net/netfilter/nf_conntrack_max";

/// NFNL_SUBSYS_CTNETLINK with IPCTNL_MSG_CT_NEW, which a flow is told with, and with IPCTNL_MSG_CT_GET.
const NEW: u16 = 1 << 8;
const GET: u16 = 1 << 8 | 1;

/// A flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    /// The client's packet as it arrives.
    pub(super) packet: Tuple,
    /// The tuple of the replies.
    pub(super) reply: Tuple,
    /// Seconds until it ends.
    pub(super) timeout: u32,
    /// A TCP connection that has ended.
    pub(super) is_over: bool,
}

/// Calls `found` with every flow of the calling thread's namespace; without nf_conntrack there is none.
pub(super) fn flows(mut found: impl FnMut(Flow)) -> io::Result<()> {
    if !fs::exists(PRESENT)? {
        return Ok(());
    }
    ask(GET, NLM_F_DUMP, |kind, _, attributes| {
        if kind == NEW {
            attributes::read(attributes).into_iter().for_each(&mut found);
        }
    })
}
