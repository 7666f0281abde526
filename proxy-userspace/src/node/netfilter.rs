//! Requests to netfilter's subsystems over nfnetlink (include/uapi/linux/netfilter/nfnetlink.h), in the calling thread's network
//! namespace. Callers interpret the responses.

use std::{io, ops::ControlFlow};

use rtnetlink::{
    packet_core::{DefaultNla, Emitable as _, NetlinkBuffer, NetlinkSerializable, NlaBuffer, NlasIterator},
    sys::protocols::NETLINK_NETFILTER,
};

pub(crate) use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_DUMP};

use crate::node::netlink::{NetlinkSocket, encode};

/// The size of `struct nfgenmsg`: family, version, resource. Zeros mean every family.
const FAMILY: usize = 4;
/// The size of `struct nlmsghdr`.
const HEADER: usize = 16;

/// NLA_F_NESTED.
const NESTED: u16 = 1 << 15;

/// NFNL_MSG_BATCH_BEGIN and NFNL_MSG_BATCH_END.
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;

/// A request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    /// The message's type.
    pub kind: u16,
    /// [`NLM_F_DUMP`] or [`NLM_F_ACK`].
    pub flags: u16,
    /// An NFPROTO_…; 0 means every family.
    pub family: u8,
    /// The attributes.
    pub attributes: &'a [DefaultNla],
}

/// Sends a request of this kind for every family, with [`NLM_F_DUMP`] or [`NLM_F_ACK`]. Calls `found` with the kind, family and
/// attributes of each response.
pub(crate) fn ask(kind: u16, flags: u16, mut found: impl FnMut(u16, u8, &[u8])) -> io::Result<()> {
    ask_until(Request { kind, flags, family: 0, attributes: &[] }, |kind, family, attributes| {
        found(kind, family, attributes);
        ControlFlow::Continue(())
    })
}

/// Sends a request and calls `found` like [`ask`], until it breaks. The kernel does not produce responses that are not read.
pub(crate) fn ask_until(
    request: Request<'_>,
    mut found: impl FnMut(u16, u8, &[u8]) -> ControlFlow<()>,
) -> io::Result<()> {
    NetlinkSocket::new(NETLINK_NETFILTER)?.ask(&encode(request, request.flags), |answer| {
        let answer = NetlinkBuffer::new(answer);
        Ok(match answer.payload() {
            [family, _, _, _, attributes @ ..] => found(answer.message_type(), *family, attributes),
            _ => ControlFlow::Continue(()),
        })
    })
}

/// Sends requests for changes in `subsystem` as one transaction: all of them take effect, or none.
pub(crate) fn change(subsystem: u8, requests: &[Request<'_>]) -> io::Result<()> {
    let mut connection = NetlinkSocket::new(NETLINK_NETFILTER)?;
    connection.ask(&transaction(subsystem, requests), |_| Ok(ControlFlow::Continue(())))
}

/// Encodes a transaction. Only the last request asks for an acknowledgement; the kernel reports a refused request in any case.
fn transaction(subsystem: u8, requests: &[Request<'_>]) -> Vec<u8> {
    let bound = |kind| {
        let mut bytes = encode(Request { kind, flags: 0, family: 0, attributes: &[] }, 0);
        // The resource is the subsystem, in network byte order.
        bytes[HEADER + FAMILY - 1] = subsystem;
        bytes
    };
    let last = requests.len().saturating_sub(1);
    let flags = |index, request: &Request<'_>| request.flags | if index == last { NLM_F_ACK } else { 0 };
    let all = requests.iter().enumerate().flat_map(|(index, request)| encode(*request, flags(index, request)));
    [bound(BATCH_BEGIN), all.collect(), bound(BATCH_END)].concat()
}

impl NetlinkSerializable for Request<'_> {
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

/// Returns a string attribute, with its terminating NUL.
pub(crate) fn attribute(kind: u16, text: &str) -> DefaultNla {
    DefaultNla::new(kind, [text.as_bytes(), &[0]].concat())
}

/// Returns an attribute that contains other attributes.
pub(crate) fn nest(kind: u16, attributes: &[DefaultNla]) -> DefaultNla {
    let mut bytes = vec![0; attributes.buffer_len()];
    attributes.emit(&mut bytes);
    DefaultNla::new(kind | NESTED, bytes)
}

/// Returns the value of the first attribute of this kind. A malformed attribute ends the search.
pub(crate) fn find(attributes: &[u8], kind: u16) -> Option<Vec<u8>> {
    each(attributes).find(|attribute| attribute.kind() == kind).map(|attribute| attribute.value().to_vec())
}

/// Iterates over the attributes up to the first malformed one.
pub(crate) fn each(attributes: &[u8]) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    NlasIterator::new(attributes).map_while(Result::ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_has_bounds_that_name_the_subsystem_and_one_acknowledgement() {
        let request = Request { kind: 7, flags: 0x400, family: 2, attributes: &[] };
        let bytes = transaction(10, &[request, request]);
        let of = |index: usize| {
            let message = &bytes[index * 20..][..20];
            (message[4], u16::from_ne_bytes([message[6], message[7]]), message[19])
        };
        assert_eq!(bytes.len(), 4 * 20);
        assert_eq!([of(0), of(1), of(2), of(3)], [(16, 1, 10), (7, 0x401, 0), (7, 0x405, 0), (17, 1, 10)]);
    }

    #[test]
    fn nested_attributes_are_found_in_their_nest() {
        let attributes = [nest(4, &[attribute(1, "a"), attribute(2, "bc")])];
        let bytes = &encode(Request { kind: 7, flags: 0, family: 0, attributes: &attributes }, 0)[20..];
        assert_eq!(find(&find(bytes, 4).unwrap(), 2), Some(b"bc\0".to_vec()));
    }

    #[test]
    fn a_request_names_family_and_attributes() {
        let attributes = [attribute(1, "filter"), attribute(2, "abc")];
        let request = encode(Request { kind: 7, flags: NLM_F_DUMP, family: 2, attributes: &attributes }, NLM_F_DUMP);
        assert_eq!((request.len(), request[0], request[16]), (20 + 12 + 8, 40, 2));
        let read: Vec<_> = each(&request[20..]).map(|one| (one.kind(), one.value().to_vec())).collect();
        assert_eq!(read, [(1, b"filter\0".to_vec()), (2, b"abc\0".to_vec())]);
    }
}
