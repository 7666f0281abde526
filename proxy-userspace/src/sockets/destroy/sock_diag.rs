//! Lists and destroys UDP sockets of one network namespace over NETLINK_SOCK_DIAG (sock_diag(7)). The caller chooses which.

use std::{fs, io, net::SocketAddr, ops::ControlFlow};

use netlink_packet_sock_diag::{
    AF_INET, AF_INET6, IPPROTO_UDP, SockDiagMessage,
    inet::{ExtensionFlags, InetRequest, SocketId, StateFlags},
    message::SockDiagDestroy,
};
use rtnetlink::{
    packet_core::{DefaultNla, Emitable, NetlinkSerializable},
    sys::protocols::NETLINK_SOCK_DIAG,
};

use crate::node::netlink::{ACK, DUMP, NetlinkSocket, encode, read};

/// The type of the attribute of a request that contains a filter.
const INET_DIAG_REQ_BYTECODE: u16 = 1;

/// A connected UDP socket, as the kernel lists it.
#[derive(Clone, Debug)]
pub(super) struct UdpSocket {
    family: u8,
    id: SocketId,
}

impl UdpSocket {
    /// Returns the socket's cookie, as BPF programs see it.
    pub(super) fn cookie(&self) -> u64 {
        // Two 32-bit words in host byte order, the low one first.
        let [a, b, c, d, e, f, g, h] = self.id.cookie;
        u64::from(u32::from_ne_bytes([a, b, c, d])) | u64::from(u32::from_ne_bytes([e, f, g, h])) << 32
    }

    /// Returns the socket's own address; an IPv4-mapped address is returned as IPv4.
    pub(super) fn local(&self) -> SocketAddr {
        SocketAddr::new(self.id.source_address.to_canonical(), self.id.source_port)
    }

    /// Returns the address to which the kernel sends the socket's datagrams; an IPv4-mapped address is returned as IPv4.
    pub(super) fn remote(&self) -> SocketAddr {
        SocketAddr::new(self.id.destination_address.to_canonical(), self.id.destination_port)
    }
}

/// The family of the listed sockets. IPv6 sockets may be connected to IPv4-mapped addresses.
#[derive(Clone, Copy, Debug)]
pub(super) enum SocketFamily {
    Inet,
    Inet6,
}

impl SocketFamily {
    /// Whether the calling thread's namespace has UDP sockets of this family. Listing them is expensive where there are
    /// many namespaces, because the kernel walks the sockets of all of them; counting them is cheap.
    fn has_udp(self) -> bool {
        let (file, line) = match self {
            Self::Inet => ("sockstat", "UDP: inuse "),
            Self::Inet6 => ("sockstat6", "UDP6: inuse "),
        };
        let counts = fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap_or_default();
        let count = counts.lines().find_map(|counts| counts.strip_prefix(line)?.split(' ').next());
        // An unknown count is not zero.
        count != Some("0")
    }
}

/// A connection to the sock_diag of one network namespace.
pub(super) struct SockDiag {
    connection: NetlinkSocket,
    /// Whether the namespace had any IPv4, and any IPv6, UDP socket when this was opened.
    populated: (bool, bool),
}

impl SockDiag {
    /// Opens a connection to the calling thread's current namespace. Other threads may use it later.
    pub(super) fn open() -> io::Result<Self> {
        let connection = NetlinkSocket::new(NETLINK_SOCK_DIAG)?;
        let populated = (SocketFamily::Inet.has_udp(), SocketFamily::Inet6.has_udp());
        Ok(Self { connection, populated })
    }

    /// Calls `found` with every connected UDP socket that passes `filter`.
    pub(super) fn connected_udp(
        &mut self,
        family: SocketFamily,
        filter: Option<&[u8]>,
        mut found: impl FnMut(UdpSocket),
    ) -> io::Result<()> {
        let (populated, family, id) = match family {
            SocketFamily::Inet => (self.populated.0, AF_INET, SocketId::new_v4()),
            SocketFamily::Inet6 => (self.populated.1, AF_INET6, SocketId::new_v6()),
        };
        if !populated {
            return Ok(());
        }
        let filter = filter.map(|program| DefaultNla::new(INET_DIAG_REQ_BYTECODE, program.to_vec()));
        let request = DumpRequest { request: udp_request(family, id), filter };
        self.ask(DUMP, request, &mut found)
    }

    /// Destroys the socket: its owner's waiting or next call fails with ECONNABORTED. Fails with `NotFound` if the socket no longer
    /// exists, or the kernel finds another one first that has the same addresses.
    pub(super) fn destroy(&mut self, socket: &UdpSocket) -> io::Result<()> {
        let request = udp_request(socket.family, socket.id.clone());
        self.ask(ACK, SockDiagDestroy::new(SockDiagMessage::InetRequest(request)), &mut |_| {})
    }

    fn ask<T: NetlinkSerializable>(
        &mut self,
        flags: u16,
        request: T,
        found: &mut impl FnMut(UdpSocket),
    ) -> io::Result<()> {
        self.connection.ask(&encode(request, flags), |answer| {
            listed(answer)?.into_iter().for_each(&mut *found);
            Ok(ControlFlow::Continue(()))
        })
    }
}

/// Returns the socket that an answer lists, if it lists one.
pub(super) fn listed(answer: &[u8]) -> io::Result<Option<UdpSocket>> {
    Ok(match read(answer)? {
        Some(SockDiagMessage::InetResponse(socket)) => {
            Some(UdpSocket { family: socket.header.family, id: socket.header.socket_id })
        }
        _ => None,
    })
}

fn udp_request(family: u8, socket_id: SocketId) -> InetRequest {
    InetRequest {
        family,
        protocol: IPPROTO_UDP,
        extensions: ExtensionFlags::empty(),
        // A connected UDP socket is "established", any other one "closed".
        states: StateFlags::ESTABLISHED,
        socket_id,
    }
}

/// A request for a list, followed by a filter.
struct DumpRequest {
    request: InetRequest,
    filter: Option<DefaultNla>,
}

impl NetlinkSerializable for DumpRequest {
    fn message_type(&self) -> u16 {
        netlink_packet_sock_diag::SOCK_DIAG_BY_FAMILY
    }

    fn buffer_len(&self) -> usize {
        self.request.buffer_len() + self.filter.as_slice().buffer_len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        let (request, filter) = buffer.split_at_mut(self.request.buffer_len());
        self.request.emit(request);
        self.filter.as_slice().emit(filter);
    }
}
