//! Requests over netlink and their responses, without an async runtime, because commands attach and detach programs, too. Callers
//! interpret the responses.

use std::{io, iter, mem, ops::ControlFlow};

use rtnetlink::{
    packet_core::{
        NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, NetlinkDeserializable,
        NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable,
    },
    packet_route::RouteNetlinkMessage,
    sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE},
};

/// The flags of a request for one object, or for an acknowledgement.
pub(crate) const ACK: u16 = NLM_F_ACK;
/// The flags of a request for all objects of a kind.
pub(crate) const DUMP: u16 = NLM_F_DUMP;

/// The size of the receive buffer in bytes. A datagram of the kernel is never larger; in dumps, it is at most half as large.
pub(crate) const DATAGRAM: usize = 64 * 1024;

/// A socket for requests, in the network namespace of the thread that opened it.
pub(crate) struct NetlinkSocket {
    socket: Socket,
    buffer: Vec<u8>,
}

impl NetlinkSocket {
    /// Opens a socket of a protocol NETLINK_….
    pub(crate) fn new(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, buffer: Vec::with_capacity(DATAGRAM) })
    }

    /// Enables NETLINK_GET_STRICT_CHK: without it, the kernel ignores most filters in the request for a dump.
    pub(crate) fn enable_strict_checking(&self) -> io::Result<()> {
        self.socket.set_netlink_get_strict_chk(true)
    }

    /// Sends an encoded request and calls `found` with each response, including its header, until `found` breaks or there are no
    /// more. The kernel does not produce responses that are not read. After a break or an error, the connection must not be
    /// used again.
    pub(crate) fn ask(
        &mut self,
        request: &[u8],
        mut found: impl FnMut(&[u8]) -> io::Result<ControlFlow<()>>,
    ) -> io::Result<()> {
        self.socket.send(request, 0)?;
        loop {
            self.buffer.clear();
            self.socket.recv(&mut self.buffer, 0)?;
            for message in messages(&self.buffer) {
                let message = message?;
                let packet = NetlinkBuffer::new(message);
                match packet.message_type() {
                    NLMSG_ERROR | NLMSG_DONE => return result(packet.payload()),
                    _ if found(message)?.is_break() => return Ok(()),
                    _ => {}
                }
            }
        }
    }

    /// Sends a request and collects the responses.
    pub(crate) fn request(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
        let mut answers = Vec::new();
        self.ask(&encode(message, flags), |answer| {
            answers.extend(read::<RouteNetlinkMessage>(answer)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(answers)
    }
}

/// Sends one request, in the calling thread's network namespace, and collects the responses.
pub(crate) fn request(message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
    NetlinkSocket::new(NETLINK_ROUTE)?.request(message, flags)
}

/// Encodes a request.
pub(crate) fn encode<T: NetlinkSerializable>(request: T, flags: u16) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(request));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// Decodes a response with its header; `None` if it has no content.
pub(crate) fn read<T: NetlinkDeserializable>(answer: &[u8]) -> io::Result<Option<T>> {
    match NetlinkMessage::deserialize(answer).map_err(damaged)?.payload {
        NetlinkPayload::InnerMessage(answer) => Ok(Some(answer)),
        _ => Ok(None),
    }
}

/// Splits a datagram into messages with their headers. A malformed message is an error and the last item.
pub(crate) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = io::Result<&[u8]>> {
    iter::from_fn(move || {
        let rest = mem::take(&mut datagram);
        (!rest.is_empty()).then(|| {
            let length = NetlinkBuffer::new_checked(rest).map_err(damaged)?.length() as usize;
            datagram = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            Ok(&rest[..length])
        })
    })
}

fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Reads the final result: a negative errno, or 0.
fn result(payload: &[u8]) -> io::Result<()> {
    let code = payload.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
    if code < 0 { Err(io::Error::from_raw_os_error(-code)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(length: u32, payload: &[u8]) -> Vec<u8> {
        [&length.to_ne_bytes()[..], &[0; 12], payload].concat()
    }

    #[test]
    fn a_refusal_is_distinguished_from_the_end() {
        assert!(result(&0_i32.to_ne_bytes()).is_ok() && result(&[]).is_ok());
        let refused = result(&(-libc::EPERM).to_ne_bytes()).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
    }

    #[test]
    fn messages_begin_at_multiples_of_four() {
        let (one, other) = (message(17, &[7, 0, 0, 0]), message(16, &[]));
        let datagram = [one.as_slice(), &other].concat();
        let read: Vec<_> = messages(&datagram).map(Result::unwrap).collect();
        assert_eq!(read, [&one[..17], &other]);
    }

    #[test]
    fn a_damaged_message_is_the_last() {
        for damaged in [message(15, &[]), message(17, &[]), vec![16, 0, 0, 0]] {
            let datagram = [message(16, &[]), damaged].concat();
            let read: Vec<_> = messages(&datagram).map(|message| message.is_ok()).collect();
            assert_eq!(read, [true, false]);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            assert!(messages(&bytes).count() <= bytes.len());
        }
    }
}
