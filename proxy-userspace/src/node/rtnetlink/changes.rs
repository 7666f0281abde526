//! Notices changes from the headers and a few attributes of the kernel's messages: routes change by the hundred thousand, so
//! parsing each message in full would be too expensive.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{main_route::MainRoute, route_state::RouteState};
use ipnet::IpNet;
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
use rtnetlink::sys::{AsyncSocket as _, AsyncSocketExt as _, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE};
use tracing::debug;

use crate::{
    logging::errors::Report,
    node::netlink::{DATAGRAM, messages},
};

/// The size of the receive buffer in bytes. While the agent waits for a dump, nothing is read; dumps wait for the kernel's RTNL
/// lock, which others may hold for long, and a hundred devices that come and go in that time overflow the usual 208 KiB.
const RECEIVE_BUFFER: usize = 8 << 20;
/// More changed routes than this count as a change of all routes.
const ROUTES_MAX: usize = 4096;

/// `enum rtnetlink_groups`.
const GROUPS: [u32; 8] = [
    1,  // links
    5,  // IPv4 addresses
    7,  // IPv4 routes
    8,  // IPv4 rules
    9,  // IPv6 addresses
    11, // IPv6 routes
    19, // IPv6 rules
    32, // nexthop objects
];

/// Which routes have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Routes {
    /// The routes to these prefixes.
    Some(Vec<IpNet>),
    /// Any route may have changed.
    All,
}

/// The changes that have been received and not yet taken.
#[derive(Debug, Default)]
pub(super) struct PendingChanges {
    /// Something that a snapshot contains has changed.
    pub(super) snapshot: bool,
    /// A default route has appeared or gone, or a message about one may have been lost.
    pub(super) defaults: bool,
    /// Removals that may have removed routes, too.
    pub(super) lost: Lost,
    /// The parts of a snapshot that come from other routes.
    pub(super) noted: RouteState,
    prefixes: BTreeSet<IpNet>,
    every_route: bool,
}

/// Devices and addresses that are gone.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// Devices that are down or gone, or have lost an address.
    pub(super) devices: BTreeSet<u32>,
    /// Addresses that are gone.
    pub(super) addresses: BTreeSet<IpAddr>,
}

impl PendingChanges {
    /// Returns the changed routes, and forgets them.
    pub(super) fn take_routes(&mut self) -> Option<Routes> {
        let (all, prefixes) = (std::mem::take(&mut self.every_route), std::mem::take(&mut self.prefixes));
        if all {
            return Some(Routes::All);
        }
        (!prefixes.is_empty()).then(|| Routes::Some(prefixes.into_iter().collect()))
    }

    /// Notes that messages were lost.
    fn note_lost_messages(&mut self) {
        debug!("messages about changes were lost: reading everything again");
        (self.snapshot, self.defaults, self.every_route) = (true, true, true);
    }

    pub(super) fn process(&mut self, message: &RawMessage<'_>) {
        if let RawMessage::Route { bytes, .. } = message
            && let Some(route) = MainRoute::parse(bytes)
        {
            self.snapshot |= self.noted.route(&route);
        }
        match *message {
            RawMessage::Link { index, up, carries, .. } => {
                self.snapshot = true;
                if !up {
                    self.lost.devices.insert(index);
                }
                self.defaults |= !carries && self.noted.nexthops.forget_device(index);
            }
            RawMessage::Address { index, is_new, address, .. } => {
                self.snapshot = true;
                if !is_new {
                    self.lost.devices.insert(index);
                    self.lost.addresses.extend(address);
                }
            }
            RawMessage::Route { is_default: true, is_main, .. } => {
                (self.snapshot, self.defaults) = (self.snapshot | is_main, self.defaults | is_main);
                self.every_route = true;
            }
            RawMessage::Route { prefix, .. } => match prefix {
                Some(prefix) if self.prefixes.len() < ROUTES_MAX => drop(self.prefixes.insert(prefix)),
                _ => self.every_route = true,
            },
            RawMessage::Nexthop(bytes) => {
                if let Some((change, differs)) = self.noted.nexthop(bytes) {
                    self.snapshot |= differs;
                    self.defaults |= change.is_followed;
                    // The kernel does not report which routes use the object.
                    self.every_route = true;
                }
            }
            RawMessage::Rule => (self.snapshot, self.every_route) = (true, true),
            RawMessage::Other => {}
        }
    }
}

/// The socket that receives messages about changes.
pub(super) struct Changes {
    socket: TokioSocket,
    buffer: Vec<u8>,
}

impl Changes {
    /// Subscribes: changes are received from now on.
    pub(super) fn subscribe() -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        // With the default buffer, messages are lost sooner, and then everything is read again.
        if let Err(error) = setsockopt(socket.socket_ref(), RcvBufForce, &RECEIVE_BUFFER) {
            debug!(error = %Report(&error), "the socket for changes keeps its default buffer");
        }
        socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
        GROUPS.into_iter().try_for_each(|group| socket.socket_mut().add_membership(group))?;
        Ok(Self { socket, buffer: Vec::with_capacity(DATAGRAM) })
    }

    /// Waits for a message, and processes it and all messages queued behind it.
    pub(super) async fn read(&mut self, pending: &mut PendingChanges) -> io::Result<()> {
        self.buffer.clear();
        let read = self.socket.recv(&mut self.buffer).await;
        self.take(read, pending)?;
        self.read_pending(pending)
    }

    /// Processes the queued messages without waiting.
    pub(super) fn read_pending(&mut self, pending: &mut PendingChanges) -> io::Result<()> {
        loop {
            self.buffer.clear();
            match self.socket.socket_ref().recv(&mut self.buffer, 0) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                read => self.take(read.map(drop), pending)?,
            }
        }
    }

    /// Processes what has been read.
    fn take(&self, read: io::Result<()>, pending: &mut PendingChanges) -> io::Result<()> {
        match read {
            Ok(()) => {
                let messages = messages(&self.buffer).map_while(Result::ok);
                messages.for_each(|message| pending.process(&RawMessage::parse(message)));
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => pending.note_lost_messages(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// A message, parsed from its header and a few attributes (rtnetlink(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RawMessage<'a> {
    /// A device. `carries` is true if it is up and has a carrier.
    Link {
        index: u32,
        up: bool,
        carries: bool,
    },
    Address {
        index: u32,
        is_new: bool,
        address: Option<IpAddr>,
    },
    Route {
        bytes: &'a [u8],
        is_default: bool,
        is_main: bool,
        prefix: Option<IpNet>,
    },
    Rule,
    Nexthop(&'a [u8]),
    Other,
}

impl<'a> RawMessage<'a> {
    /// Parses a whole message with its header. A truncated message is `Other`.
    pub(super) fn parse(bytes: &'a [u8]) -> Self {
        Self::parse_known(bytes).unwrap_or(Self::Other)
    }

    fn parse_known(bytes: &'a [u8]) -> Option<Self> {
        const IFF_UP: u32 = 1;
        /// `IFF_RUNNING | IFF_LOWER_UP`.
        const CARRIER: u32 = 0x1_0040;
        const MAIN: u8 = 254;
        let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
        let body = bytes.get(16..)?;
        let word = |at| word(body, at);
        Some(match kind {
            16 | 17 => {
                let (index, flags) = (word(4)?, word(8)?);
                let up = kind == 16 && flags & IFF_UP != 0;
                Self::Link { index, up, carries: up && flags & CARRIER != 0 }
            }
            20 | 21 => {
                let address = attribute(body.get(8..)?, &[2, 1]).and_then(|bytes| ip(*body.first()?, bytes));
                Self::Address { index: word(4)?, is_new: kind == 20, address }
            }
            24 | 25 => {
                let (family, bits, table) = (*body.first()?, *body.get(1)?, *body.get(4)?);
                let destination = attribute(body.get(12..)?, &[1]).and_then(|bytes| ip(family, bytes));
                let prefix = destination.and_then(|address| IpNet::new(address, bits).ok());
                Self::Route { bytes, is_default: bits == 0, is_main: table == MAIN, prefix }
            }
            32 | 33 => Self::Rule,
            104 | 105 => Self::Nexthop(bytes),
            _ => return None,
        })
    }
}

pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Returns the value of the first of these kinds of attributes that is present.
pub(super) fn attribute<'a>(attributes: &'a [u8], kinds: &[u16]) -> Option<&'a [u8]> {
    let find = |wanted: u16| {
        let mut rest = attributes;
        while let (Some(length), Some(kind)) = (rest.get(..2), rest.get(2..4)) {
            let length = usize::from(u16::from_ne_bytes(length.try_into().ok()?)).max(4);
            if u16::from_ne_bytes(kind.try_into().ok()?) == wanted {
                return rest.get(4..length);
            }
            rest = rest.get(length.next_multiple_of(4)..)?;
        }
        None
    };
    kinds.iter().find_map(|kind| find(*kind))
}

pub(super) fn ip(family: u8, bytes: &[u8]) -> Option<IpAddr> {
    match i32::from(family) {
        libc::AF_INET => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        libc::AF_INET6 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        _ => None,
    }
}
