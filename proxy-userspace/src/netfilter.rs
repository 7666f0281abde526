//! Questions to netfilter's parts over nfnetlink (include/uapi/linux/netfilter/nfnetlink.h), about the calling thread's network
//! namespace. What the answers mean is the asker's business.

use std::io;

use rtnetlink::{
    packet_core::{NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, NlaBuffer, NlasIterator},
    sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER},
};

pub(crate) use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_DUMP};

/// The kernel fills datagrams of at most this many bytes.
const DATAGRAM: usize = 64 * 1024;

const HEADER: usize = 16;
/// `struct nfgenmsg`: family, version, resource. Zeros stand for every family.
const FAMILY: usize = 4;

/// Asks a question of this kind, for every family, with [`NLM_F_DUMP`] or [`NLM_F_ACK`]. Calls `found` with each answer's kind,
/// family and attributes.
pub(crate) fn ask(kind: u16, flags: u16, mut found: impl FnMut(u16, u8, &[u8])) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.send_to(&question(kind, flags), &SocketAddr::new(0, 0), 0)?;
    let mut buffer = Vec::with_capacity(DATAGRAM);
    loop {
        buffer.clear();
        socket.recv(&mut buffer, 0)?;
        let mut rest = &buffer[..];
        while !rest.is_empty() {
            let message = NetlinkBuffer::new_checked(rest).map_err(io::Error::other)?;
            match (message.message_type(), message.payload()) {
                (NLMSG_ERROR | NLMSG_DONE, payload) => return result(payload),
                (kind, [family, _, _, _, attributes @ ..]) => found(kind, *family, attributes),
                _ => {}
            }
            rest = rest.get((message.length() as usize).next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

fn question(kind: u16, flags: u16) -> Vec<u8> {
    let mut bytes = vec![0; HEADER + FAMILY];
    let mut message = NetlinkBuffer::new(&mut bytes);
    message.set_length(u32::try_from(HEADER + FAMILY).expect("twenty bytes"));
    message.set_message_type(kind);
    message.set_flags(NLM_F_REQUEST | flags);
    bytes
}

/// How the answers ended: a negative error number, or 0.
fn result(payload: &[u8]) -> io::Result<()> {
    let code = payload.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
    if code < 0 { Err(io::Error::from_raw_os_error(-code)) } else { Ok(()) }
}

/// The value of the attribute of this kind. Damaged attributes end the search.
pub(crate) fn find(attributes: &[u8], kind: u16) -> Option<Vec<u8>> {
    let readable = NlasIterator::new(attributes).map_while(Result::ok);
    let mut wanted = readable.filter(|attribute: &NlaBuffer<&[u8]>| attribute.kind() == kind);
    wanted.next().map(|attribute| attribute.value().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_from_the_end() {
        assert!(result(&0_i32.to_ne_bytes()).is_ok() && result(&[]).is_ok());
        let refused = result(&(-libc::EPERM).to_ne_bytes()).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
        assert_eq!(question(0, NLM_F_DUMP).len(), 20);
    }
}
