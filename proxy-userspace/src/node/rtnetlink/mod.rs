//! Devices, addresses, default routes and rules of this network namespace, as the kernel says over rtnetlink: plain
//! values, and word that something has changed. It decides nothing.

mod changes;
mod gateways;
mod hosts;
mod main_route;
mod nexthops;
mod noted;
mod read;
mod routes;

use std::{collections::BTreeSet, io, net::IpAddr};

use ipnet::IpNet;
use rtnetlink::{Error, Handle, packet_route::address::AddressFlags};
use tokio::task::{JoinSet, spawn_blocking};

pub use self::changes::Routes;
use self::changes::{Changes, News};

/// Why the kernel can't be followed.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// No netlink socket.
    #[error("open a netlink socket")]
    Connect(#[source] io::Error),
    /// The kernel refused or cut short a request.
    #[error("read {0} from the kernel")]
    Dump(&'static str, #[source] Error),
    /// The routing table can't be read.
    #[error("read the default routes from the kernel")]
    Routes(#[source] io::Error),
    /// The socket that reports changes has closed.
    #[error("lost the netlink socket that reports changes")]
    Lost,
}

/// A network device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent observation")]
pub(crate) struct Link {
    pub index: u32,
    pub name: String,
    pub up: bool,
    pub loopback: bool,
    /// It carries Ethernet frames.
    pub ethernet: bool,
    /// It carries IP packets without a header of its own.
    pub bare: bool,
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

/// A rule of policy routing: which packets ask which table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Their source, unless it is any.
    pub source: Option<IpNet>,
    /// The device that they have come in by, unless it is any.
    pub device: Option<String>,
    /// It looks at their ports.
    pub ports: bool,
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
    /// Devices that a route with a link-local gateway leads out of, or has led out of since the watcher has been there: what has been
    /// an uplink is one.
    pub gateways: BTreeSet<u32>,
    /// Addresses that a route of their own leads to, by a device that is up and without a gateway.
    pub hosts: BTreeSet<IpAddr>,
    /// In the kernel's order.
    pub rules: Vec<Rule>,
}

impl Snapshot {
    /// Devices that are up, by index.
    pub(crate) fn up(&self) -> BTreeSet<u32> {
        self.links.iter().filter(|link| link.up).map(|link| link.index).collect()
    }
}

/// Follows the kernel: what there is, and word of what has changed since.
pub(crate) struct Watcher {
    handle: Handle,
    changes: Changes,
    /// The default routes, kept from one snapshot to the next: a table may have a million routes beside them. None when
    /// they have to be looked for.
    defaults: Option<Vec<DefaultRoute>>,
    /// What has been said since the last snapshot and nobody has asked for.
    news: News,
    /// Ends the connection when it is dropped.
    _connection: JoinSet<()>,
}

/// What a [`Watcher`] has heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A snapshot would differ, perhaps.
    Snapshot,
    /// Other routes than default routes have changed.
    Routes(Routes),
}

impl Watcher {
    /// Of the calling thread's network namespace, from now on: subscribed before anything is looked at, so that no change
    /// falls in between.
    pub(crate) fn start() -> Result<Self, KernelError> {
        let changes = Changes::subscribe().map_err(KernelError::Connect)?;
        // Without the strict check the kernel ignores filters and sends every table.
        let (connection, handle, _) = rtnetlink::new_connection_with_strict_check().map_err(KernelError::Connect)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(connection);
        Ok(Self { handle, changes, defaults: None, news: News::default(), _connection: tasks })
    }

    /// Everything as it is now. A change in between makes the parts disagree, and is heard of afterwards.
    pub(crate) async fn snapshot(&mut self) -> Result<Snapshot, KernelError> {
        self.changes.read_pending(&mut self.news).map_err(|_| KernelError::Lost)?;
        self.forget_defaults();
        self.news.snapshot = false;
        let links = read::links(&self.handle).await?;
        let addresses = read::addresses(&self.handle).await?;
        let rules = read::rules(&self.handle).await?;
        if self.defaults.is_none() {
            // In the order of the messages: what changes meanwhile makes it be looked for again.
            let found =
                spawn_blocking(routes::walk).await.map_err(|_| KernelError::Lost)?.map_err(KernelError::Routes)?;
            self.defaults = Some(found.defaults);
            self.news.noted.renew(found.noted);
        }
        let noted = &mut self.news.noted;
        noted.retain(&links);
        let hosts = noted.hosts.iter().map(|host| host.address).collect();
        let (routes, gateways) = (self.defaults.clone().unwrap_or_default(), noted.gateways.clone());
        Ok(Snapshot { links, addresses, routes, gateways, hosts, rules })
    }

    /// Waits for news.
    pub(crate) async fn heard(&mut self) -> Result<Heard, KernelError> {
        loop {
            if let Some(routes) = self.news.take_routes() {
                return Ok(Heard::Routes(routes));
            }
            if self.news.snapshot {
                return Ok(Heard::Snapshot);
            }
            self.changes.read(&mut self.news).await.map_err(|_| KernelError::Lost)?;
        }
    }

    /// Waits until a snapshot would differ, perhaps.
    pub(crate) async fn changed(&mut self) -> Result<(), KernelError> {
        while self.heard().await? != Heard::Snapshot {}
        Ok(())
    }

    /// Forgets the default routes if they may have changed: the kernel takes IPv4 routes away without a word when their
    /// device goes down or loses its address.
    fn forget_defaults(&mut self) {
        let (lost, known) = (&self.news.lost, self.defaults.iter().flatten());
        let is_shaken = known.into_iter().any(|route| {
            lost.devices.contains(&route.device) || route.source.is_some_and(|source| lost.addresses.contains(&source))
        });
        if self.news.defaults || is_shaken {
            self.defaults = None;
        }
        self.news.defaults = false;
        self.news.lost = changes::Lost::default();
    }
}
