//! The counters that kube-proxy's rules of iptables count into, over netlink (include/uapi/linux/netfilter/nfnetlink_acct.h).

use std::{io, ops::ControlFlow};

use super::names::COUNTERS;
use crate::node::netfilter::{NLM_F_ACK, NLM_F_DUMP, Request, ask, ask_until, attribute, find};

/// NFNL_SUBSYS_ACCT with NFNL_MSG_ACCT_NEW, …_GET and …_DEL.
const NEW: u16 = 7 << 8;
const GET: u16 = 7 << 8 | 1;
const DELETE: u16 = 7 << 8 | 3;

const NFACCT_NAME: u16 = 1;

/// The names of kube-proxy's counters. Without such counters in the kernel there are none.
pub(super) fn counters() -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    let outcome = ask(GET, NLM_F_DUMP, |kind, _, attributes| {
        let name = find(attributes, NFACCT_NAME).unwrap_or_default();
        let name = String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned();
        if kind == NEW && COUNTERS.contains(&name.as_str()) {
            names.push(name);
        }
    });
    match outcome {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => return Ok(names),
        outcome => outcome?,
    }
    names.sort();
    Ok(names)
}

/// Removes a counter. The kernel refuses that while a rule uses it.
pub(super) fn remove(name: &str) -> io::Result<()> {
    let attributes = [attribute(NFACCT_NAME, name)];
    ask_until(Request { kind: DELETE, flags: NLM_F_ACK, family: 0, attributes: &attributes }, |_, _, _| {
        ControlFlow::Continue(())
    })
}
