//! Questions to netfilter's parts over nfnetlink (include/uapi/linux/netfilter/nfnetlink.h), about the calling thread's network
//! namespace. What the answers mean is the asker's business.

use std::{io, ops::ControlFlow};

use rtnetlink::{
    packet_core::{DefaultNla, Emitable as _, NetlinkBuffer, NetlinkSerializable, NlaBuffer, NlasIterator},
    sys::protocols::NETLINK_NETFILTER,
};

pub(crate) use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_DUMP};

use crate::node::netlink::{Connection, encode};

/// `struct nfgenmsg`: family, version, resource. Zeros stand for every family.
const FAMILY: usize = 4;

/// A question.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    /// The message's type.
    pub kind: u16,
    /// [`NLM_F_DUMP`] or [`NLM_F_ACK`].
    pub flags: u16,
    /// An NFPROTO_…; 0 stands for every family.
    pub family: u8,
    /// What narrows it.
    pub attributes: &'a [DefaultNla],
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
    Connection::new(NETLINK_NETFILTER)?.ask(&encode(question, question.flags), |answer| {
        let answer = NetlinkBuffer::new(answer);
        Ok(match answer.payload() {
            [family, _, _, _, attributes @ ..] => found(answer.message_type(), *family, attributes),
            _ => ControlFlow::Continue(()),
        })
    })
}

impl NetlinkSerializable for Question<'_> {
    fn message_type(&self) -> u16 {
        self.kind
    }

    fn buffer_len(&self) -> usize {
        FAMILY + self.attributes.buffer_len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer[0] = self.family;
        self.attributes.emit(&mut buffer[FAMILY..]);
    }
}

/// An attribute that is a string, as a question has it.
pub(crate) fn attribute(kind: u16, text: &str) -> DefaultNla {
    DefaultNla::new(kind, [text.as_bytes(), &[0]].concat())
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
    fn a_question_names_family_and_attributes() {
        let attributes = [attribute(1, "filter"), attribute(2, "abc")];
        let question = encode(Question { kind: 7, flags: NLM_F_DUMP, family: 2, attributes: &attributes }, NLM_F_DUMP);
        assert_eq!((question.len(), question[0], question[16]), (20 + 12 + 8, 40, 2));
        let read: Vec<_> = each(&question[20..]).map(|one| (one.kind(), one.value().to_vec())).collect();
        assert_eq!(read, [(1, b"filter\0".to_vec()), (2, b"abc\0".to_vec())]);
    }
}
