//! Devices, addresses and default routes of this network namespace, as the kernel says over rtnetlink: plain
//! values, and word that something has changed. It decides nothing.

use std::{collections::BTreeSet, io, net::IpAddr};

use futures::{FutureExt, Stream, StreamExt, TryStreamExt, channel::mpsc::UnboundedReceiver};
use ipnet::IpNet;
use rtnetlink::{
    Error, Handle, MulticastGroup,
    packet_core::{NetlinkMessage, NetlinkPayload},
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope},
        link::{LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkLayerType, LinkMessage},
        route::{RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteNextHopFlags, RouteType},
    },
    sys,
};
use tokio::task::JoinSet;

/// Why the kernel can't be followed.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// No netlink socket.
    #[error("open a netlink socket")]
    Connect(#[source] io::Error),
    /// The kernel refused or cut short a request.
    #[error("read {0} from the kernel")]
    Dump(&'static str, #[source] Error),
    /// The socket that reports changes has closed.
    #[error("lost the netlink socket that reports changes")]
    Lost,
}

/// A network device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    pub index: u32,
    pub name: String,
    pub up: bool,
    pub loopback: bool,
    /// It carries Ethernet frames.
    pub ethernet: bool,
    pub mtu: u32,
    /// Its own hardware address.
    pub mac: Vec<u8>,
    /// The bridge or bond that it is a port of.
    pub master: Option<u32>,
    /// What kind of software device it is, in the kernel's word; empty for hardware and its imitations.
    pub kind: String,
    /// The bus that its hardware is on, in the kernel's word; Linux 5.14 and later.
    pub bus: String,
    /// The device that it is bound to: of a veth, the other end.
    pub peer: Option<Peer>,
}

/// Another device that a device is bound to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    pub index: u32,
    /// The number that its network namespace has in this one; none if it is this one.
    pub netns: Option<i32>,
}

/// An address of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub device: u32,
    pub ip: IpAddr,
    /// The prefix that is reached through it.
    pub network: Option<IpNet>,
    /// Its scope is wider than the link.
    pub global: bool,
    pub flags: AddressFlags,
}

/// A way to everywhere, from the main table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DefaultRoute {
    pub ipv6: bool,
    pub metric: u32,
    pub device: u32,
    pub gateway: Option<IpAddr>,
    pub source: Option<IpAddr>,
}

/// Everything that the addresses and devices of a node depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// By index.
    pub links: Vec<Link>,
    /// In the kernel's order.
    pub addresses: Vec<Address>,
    /// In the kernel's order.
    pub routes: Vec<DefaultRoute>,
}

impl Snapshot {
    /// Devices that are up, by index.
    pub(crate) fn up(&self) -> BTreeSet<u32> {
        self.links.iter().filter(|link| link.up).map(|link| link.index).collect()
    }
}

type Messages = UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, sys::SocketAddr)>;

/// Says that something has changed, not what: the kernel drops messages when there are too many.
pub(crate) struct Changes {
    messages: Messages,
    /// Ends the connection when it is dropped.
    _connection: JoinSet<()>,
}

impl Changes {
    /// From now on.
    pub(crate) fn subscribe() -> io::Result<Self> {
        let (connection, _, messages) = rtnetlink::new_multicast_connection(&[
            // IPv4 routes vanish without a message when their device goes down.
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
        ])?;
        let mut tasks = JoinSet::new();
        tasks.spawn(connection);
        Ok(Self { messages, _connection: tasks })
    }

    /// Waits for a change that matters; `None` when the connection is lost.
    pub(crate) async fn next(&mut self) -> Option<()> {
        loop {
            let (message, _) = self.messages.next().await?;
            if matters(&message) {
                return Some(());
            }
        }
    }

    /// Takes everything that has been said until now.
    pub(crate) fn forget_pending(&mut self) {
        while let Some(Some(_)) = self.messages.next().now_or_never() {}
    }
}

/// Whether a message can change an answer: everything but routes that are not default routes of the main table.
fn matters(message: &NetlinkMessage<RouteNetlinkMessage>) -> bool {
    match &message.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route) | RouteNetlinkMessage::DelRoute(route)) => {
            is_main_default(&route.header)
        }
        _ => true,
    }
}

fn is_main_default(route: &RouteHeader) -> bool {
    route.destination_prefix_length == 0 && route.table == RouteHeader::RT_TABLE_MAIN
}

/// Asks the kernel.
pub(crate) struct Kernel {
    handle: Handle,
    /// Ends the connection when it is dropped.
    _connection: JoinSet<()>,
}

impl Kernel {
    /// Of the calling thread's network namespace.
    pub(crate) fn connect() -> io::Result<Self> {
        // Without the strict check the kernel ignores filters and sends every table.
        let (connection, handle, _) = rtnetlink::new_connection_with_strict_check()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(connection);
        Ok(Self { handle, _connection: tasks })
    }

    /// Dumps everything. A change in between makes the parts disagree, and is reported to [`Changes`].
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, KernelError> {
        let links = self.handle.link().get();
        let links = links.set_filter_mask(AddressFamily::Unspec, vec![LinkExtentMask::SkipStats]).execute();
        let links = collect("links", links).await?;
        let addresses = collect("addresses", self.handle.address().get().execute()).await?;
        let mut routes = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut wanted = RouteMessage::default();
            wanted.header.address_family = family;
            wanted.header.table = RouteHeader::RT_TABLE_MAIN;
            routes.extend(collect("routes", self.handle.route().get(wanted).execute()).await?);
        }
        Ok(Snapshot {
            links: links.iter().map(link).collect(),
            addresses: addresses.iter().filter_map(address).collect(),
            routes: routes.iter().flat_map(default_routes).collect(),
        })
    }
}

async fn collect<T>(what: &'static str, dump: impl Stream<Item = Result<T, Error>>) -> Result<Vec<T>, KernelError> {
    match dump.try_collect().await {
        // A table or a family that has never been used does not exist.
        Err(Error::NetlinkError(error)) if error.to_io().kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        result => result.map_err(|error| KernelError::Dump(what, error)),
    }
}

fn link(message: &LinkMessage) -> Link {
    let header = &message.header;
    let mut link = Link {
        index: header.index,
        up: header.flags.contains(LinkFlags::Up),
        loopback: header.flags.contains(LinkFlags::Loopback),
        ethernet: header.link_layer_type == LinkLayerType::Ether,
        ..Link::default()
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Address(mac) => link.mac.clone_from(mac),
            LinkAttribute::Controller(master) => link.master = Some(*master).filter(|index| *index != 0),
            LinkAttribute::LinkInfo(parts) => link.kind = kind(parts),
            LinkAttribute::ParentDevBusName(bus) => link.bus.clone_from(bus),
            LinkAttribute::Link(index) => link.peer.get_or_insert_default().index = *index,
            LinkAttribute::LinkNetNsId(netns) => link.peer.get_or_insert_default().netns = Some(*netns),
            _ => {}
        }
    }
    link
}

fn kind(parts: &[LinkInfo]) -> String {
    let kind = parts.iter().find_map(|part| match part {
        LinkInfo::Kind(kind) => Some(kind.to_string()),
        _ => None,
    });
    kind.unwrap_or_default()
}

fn address(message: &AddressMessage) -> Option<Address> {
    let mut flags = AddressFlags::from_bits_retain(message.header.flags.bits().into());
    let (mut local, mut remote) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => local = Some(*address),
            // On a point-to-point device this is the other end, else the same as `Local`.
            AddressAttribute::Address(address) => remote = Some(*address),
            AddressAttribute::Flags(all) => flags = *all,
            _ => {}
        }
    }
    Some(Address {
        device: message.header.index,
        ip: local.or(remote)?,
        network: IpNet::new(remote.or(local)?, message.header.prefix_len).ok(),
        global: matches!(message.header.scope, AddressScope::Universe | AddressScope::Site | AddressScope::Other(_)),
        flags,
    })
}

/// A route with several next hops counts as one route for each that lives.
fn default_routes(message: &RouteMessage) -> Vec<DefaultRoute> {
    let usable = is_main_default(&message.header)
        && message.header.kind == RouteType::Unicast
        && !message.header.flags.contains(RouteFlags::Dead);
    if !usable {
        return Vec::new();
    }
    let mut route = DefaultRoute {
        ipv6: message.header.address_family == AddressFamily::Inet6,
        metric: 0,
        device: 0,
        gateway: None,
        source: None,
    };
    route.read(&message.attributes);
    let hops = message.attributes.iter().filter_map(|attribute| match attribute {
        RouteAttribute::MultiPath(hops) => Some(hops),
        _ => None,
    });
    let hops = hops.flatten().filter(|hop| !hop.flags.contains(RouteNextHopFlags::Dead)).map(|hop| {
        let mut route = DefaultRoute { device: hop.interface_index, ..route.clone() };
        route.read(&hop.attributes);
        route
    });
    let mut routes: Vec<_> = hops.collect();
    if route.device != 0 {
        routes.push(route);
    }
    routes
}

impl DefaultRoute {
    fn read(&mut self, attributes: &[RouteAttribute]) {
        for attribute in attributes {
            match attribute {
                RouteAttribute::Priority(metric) => self.metric = *metric,
                RouteAttribute::Oif(device) => self.device = *device,
                RouteAttribute::Gateway(gateway) => self.gateway = ip(gateway),
                RouteAttribute::PrefSource(source) => self.source = ip(source),
                _ => {}
            }
        }
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}
