//! Reads netfilter's table of flows of one network namespace over ctnetlink
//! (include/uapi/linux/netfilter/nfnetlink_conntrack.h). It does not choose among them.

mod attributes;

use std::{fs, io};

use proxy_common::Tuple;
use rtnetlink::{
    packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer},
    sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER},
};

/// There only in kernels that have nf_conntrack loaded.
const PRESENT: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
/// The kernel fills datagrams of at most this many bytes.
const DATAGRAM: usize = 64 * 1024;

/// NFNL_SUBSYS_CTNETLINK with IPCTNL_MSG_CT_NEW, which a flow is told with, and with IPCTNL_MSG_CT_GET.
const NEW: u16 = 1 << 8;
const GET: u16 = 1 << 8 | 1;
const HEADER: usize = 16;
/// `struct nfgenmsg`: family, version, resource. Zeros stand for every family.
const FAMILY: usize = 4;

/// A flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    /// The client's packet as it arrives.
    pub(super) packet: Tuple,
    /// What answers, as it sends.
    pub(super) answer: Tuple,
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
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.send_to(&request(), &SocketAddr::new(0, 0), 0)?;
    let mut buffer = Vec::with_capacity(DATAGRAM);
    loop {
        buffer.clear();
        socket.recv(&mut buffer, 0)?;
        let mut rest = &buffer[..];
        while !rest.is_empty() {
            let message = NetlinkBuffer::new_checked(rest).map_err(io::Error::other)?;
            match message.message_type() {
                NEW => attributes::read(message.payload().get(FAMILY..).unwrap_or_default())
                    .into_iter()
                    .for_each(&mut found),
                NLMSG_ERROR | NLMSG_DONE => return result(message.payload()),
                _ => {}
            }
            rest = rest.get((message.length() as usize).next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

fn request() -> Vec<u8> {
    let mut bytes = vec![0; HEADER + FAMILY];
    let mut message = NetlinkBuffer::new(&mut bytes);
    message.set_length(u32::try_from(HEADER + FAMILY).expect("twenty bytes"));
    message.set_message_type(GET);
    message.set_flags(NLM_F_REQUEST | NLM_F_DUMP);
    bytes
}

/// How the list ended: a negative error number, or 0.
fn result(payload: &[u8]) -> io::Result<()> {
    let code = payload.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
    if code < 0 { Err(io::Error::from_raw_os_error(-code)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_from_the_end() {
        assert!(result(&0_i32.to_ne_bytes()).is_ok() && result(&[]).is_ok());
        let refused = result(&(-libc::EPERM).to_ne_bytes()).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
        assert_eq!(request().len(), 20);
    }
}
