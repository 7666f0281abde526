//! Questions to netfilter's parts over nfnetlink (include/uapi/linux/netfilter/nfnetlink.h), about the calling thread's network
//! namespace. What the answers mean is the asker's business.

use std::{io, ops::ControlFlow};

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

/// `struct nlattr`.
const ATTRIBUTE: usize = 4;

/// A question.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    /// The message's type.
    pub kind: u16,
    /// [`NLM_F_DUMP`] or [`NLM_F_ACK`].
    pub flags: u16,
    /// An NFPROTO_…; 0 stands for every family.
    pub family: u8,
    /// What narrows it, encoded by [`attribute`].
    pub attributes: &'a [u8],
}

/// Asks a question of this kind, for every family, with [`NLM_F_DUMP`] or [`NLM_F_ACK`]. Calls `found` with each answer's kind,
/// family and attributes.
pub(crate) fn ask(kind: u16, flags: u16, mut found: impl FnMut(u16, u8, &[u8])) -> io::Result<()> {
    ask_until(Question { kind, flags, family: 0, attributes: &[] }, |kind, family, attributes| {
        found(kind, family, attributes);
        ControlFlow::Continue(())
    })
}

/// Asks a question; calls `found` as [`ask`] does, until it breaks. The kernel does not work out what is not read.
pub(crate) fn ask_until(
    question: Question<'_>,
    mut found: impl FnMut(u16, u8, &[u8]) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.send_to(&question.encode(), &SocketAddr::new(0, 0), 0)?;
    let mut buffer = Vec::with_capacity(DATAGRAM);
    loop {
        buffer.clear();
        socket.recv(&mut buffer, 0)?;
        let mut rest = &buffer[..];
        while !rest.is_empty() {
            let message = NetlinkBuffer::new_checked(rest).map_err(io::Error::other)?;
            match (message.message_type(), message.payload()) {
                (NLMSG_ERROR | NLMSG_DONE, payload) => return result(payload),
                (kind, [family, _, _, _, attributes @ ..]) if found(kind, *family, attributes).is_break() => {
                    return Ok(());
                }
                _ => {}
            }
            rest = rest.get((message.length() as usize).next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

impl Question<'_> {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = [&[0; HEADER + FAMILY], self.attributes].concat();
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        bytes[HEADER] = self.family;
        let mut message = NetlinkBuffer::new(&mut bytes);
        message.set_length(length);
        message.set_message_type(self.kind);
        message.set_flags(NLM_F_REQUEST | self.flags);
        bytes
    }
}

/// An attribute that is a string, as a question has it. Names of netfilter are far shorter than the longest one.
pub(crate) fn attribute(kind: u16, text: &str) -> Vec<u8> {
    let length = u16::try_from(ATTRIBUTE + text.len() + 1).unwrap_or(u16::MAX);
    let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), text.as_bytes(), &[0]].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// How the answers ended: a negative error number, or 0.
fn result(payload: &[u8]) -> io::Result<()> {
    let code = payload.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
    if code < 0 { Err(io::Error::from_raw_os_error(-code)) } else { Ok(()) }
}

/// The value of the attribute of this kind. Damaged attributes end the search.
pub(crate) fn find(attributes: &[u8], kind: u16) -> Option<Vec<u8>> {
    each(attributes).find(|attribute| attribute.kind() == kind).map(|attribute| attribute.value().to_vec())
}

/// Attributes up to the first damaged one.
pub(crate) fn each(attributes: &[u8]) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    NlasIterator::new(attributes).map_while(Result::ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_from_the_end() {
        assert!(result(&0_i32.to_ne_bytes()).is_ok() && result(&[]).is_ok());
        let refused = result(&(-libc::EPERM).to_ne_bytes()).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
    }

    #[test]
    fn a_question_names_family_and_attributes() {
        let attributes = [attribute(1, "filter"), attribute(2, "abc")].concat();
        let question = Question { kind: 7, flags: NLM_F_DUMP, family: 2, attributes: &attributes }.encode();
        assert_eq!((question.len(), question[0], question[16]), (20 + 12 + 8, 40, 2));
        let read: Vec<_> = each(&question[20..]).map(|one| (one.kind(), one.value().to_vec())).collect();
        assert_eq!(read, [(1, b"filter\0".to_vec()), (2, b"abc\0".to_vec())]);
    }
}
