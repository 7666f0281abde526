//! Devices, addresses, default routes and rules of this network namespace, as the kernel reports them over rtnetlink:
//! plain values, and notifications of changes.

mod changes;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod gateways;
mod hosts;
mod main_route;
mod nexthops;
mod read;
mod route_state;
mod routes;

use std::{collections::BTreeSet, io, net::IpAddr};

use ipnet::IpNet;
use rtnetlink::{Error, Handle, packet_route::address::AddressFlags};
use tokio::task::{JoinSet, spawn_blocking};

pub use self::changes::Routes;
use self::changes::{Changes, PendingChanges};

/// Why the kernel can't be followed.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// No netlink socket could be opened.
    #[error("open a netlink socket")]
    Connect(#[source] io::Error),
    /// The kernel refused or aborted a dump.
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
    /// Whether the device carries Ethernet frames.
    pub ethernet: bool,
    /// Whether the device carries IP packets without a link-layer header.
    pub bare: bool,
    pub mtu: u32,
    /// The hardware address.
    pub mac: Vec<u8>,
    /// The index of the bridge, bond or VRF that the device belongs to.
    pub master: Option<u32>,
    /// The kernel's name for the kind of software device; empty for hardware and drivers that pose as hardware.
    pub kind: String,
    /// The kernel's name for the bus of the hardware; Linux 5.14 and later.
    pub bus: String,
    /// The device that this one is linked to: the other end of a veth.
    pub peer: Option<LinkPeer>,
}

/// Another device that a device is linked to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkPeer {
    pub index: u32,
    /// The id of the peer's network namespace, as known in this one; `None` if the peer is in this one.
    pub netns: Option<i32>,
}

/// An address of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub device: u32,
    pub ip: IpAddr,
    /// The prefix that is on the link.
    pub network: Option<IpNet>,
    /// Whether the address's scope is wider than the link.
    pub global: bool,
    pub flags: AddressFlags,
}

/// A default route of the main table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DefaultRoute {
    pub ipv6: bool,
    pub metric: u32,
    pub device: u32,
    pub gateway: Option<IpAddr>,
    pub source: Option<IpAddr>,
}

/// A rule of policy routing, as far as it selects packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The source that the packets must have; `None` for any.
    pub source: Option<IpNet>,
    /// The incoming device that the packets must have; `None` for any.
    pub device: Option<String>,
    /// Whether the rule matches ports.
    pub ports: bool,
}

/// Everything that the node's addresses and served devices depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Devices by index.
    pub links: Vec<Link>,
    /// Addresses in the kernel's order.
    pub addresses: Vec<Address>,
    /// Default routes in the kernel's order.
    pub routes: Vec<DefaultRoute>,
    /// Devices that a route with a link-local gateway has used since the watcher started. They are kept when the route is
    /// removed, because they still lead to other routers.
    pub gateways: BTreeSet<u32>,
    /// Addresses with a host route without a gateway to a device that is up.
    pub hosts: BTreeSet<IpAddr>,
    /// Rules in the kernel's order.
    pub rules: Vec<Rule>,
}

impl Snapshot {
    /// Returns the indexes of devices that are up.
    pub(crate) fn up(&self) -> BTreeSet<u32> {
        self.links.iter().filter(|link| link.up).map(|link| link.index).collect()
    }
}

/// Follows the kernel's state: snapshots, and notifications of changes since.
pub(crate) struct Watcher {
    handle: Handle,
    changes: Changes,
    /// The default routes, kept from one snapshot to the next because a table may have a million other routes. `None`
    /// if they must be read again.
    defaults: Option<Vec<DefaultRoute>>,
    /// Changes that no caller has taken yet.
    pending: PendingChanges,
    /// The connection's task, which ends when this is dropped.
    _connection: JoinSet<()>,
}

/// A change that a [`Watcher`] has received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KernelChange {
    /// A snapshot may differ.
    Snapshot,
    /// Routes other than default routes have changed.
    Routes(Routes),
}

impl Watcher {
    /// Starts to follow the calling thread's network namespace. Subscribes to changes before the first snapshot, so that
    /// none is missed.
    pub(crate) fn start() -> Result<Self, KernelError> {
        let changes = Changes::subscribe().map_err(KernelError::Connect)?;
        // Without strict checking the kernel ignores filters and sends every table.
        let (connection, handle, _) = rtnetlink::new_connection_with_strict_check().map_err(KernelError::Connect)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(connection);
        Ok(Self { handle, changes, defaults: None, pending: PendingChanges::default(), _connection: tasks })
    }

    /// Reads the whole state. If it changes during the dumps, the parts may be inconsistent; then
    /// [`next_change`](Self::next_change) reports the change afterwards.
    pub(crate) async fn snapshot(&mut self) -> Result<Snapshot, KernelError> {
        self.changes.read_pending(&mut self.pending).map_err(|_| KernelError::Lost)?;
        self.forget_defaults();
        self.pending.snapshot = false;
        let links = read::links(&self.handle).await?;
        let addresses = read::addresses(&self.handle).await?;
        let rules = read::rules(&self.handle).await?;
        if self.defaults.is_none() {
            // A change during the walk makes the next snapshot read the routes again.
            let found =
                spawn_blocking(routes::walk).await.map_err(|_| KernelError::Lost)?.map_err(KernelError::Routes)?;
            self.defaults = Some(found.defaults);
            self.pending.noted.renew(found.noted);
        }
        let noted = &mut self.pending.noted;
        noted.retain(&links);
        let hosts = noted.hosts.iter().map(|host| host.address).collect();
        let (routes, gateways) = (self.defaults.clone().unwrap_or_default(), noted.gateways.clone());
        Ok(Snapshot { links, addresses, routes, gateways, hosts, rules })
    }

    /// Waits for a change and returns it.
    pub(crate) async fn next_change(&mut self) -> Result<KernelChange, KernelError> {
        loop {
            if let Some(routes) = self.pending.take_routes() {
                return Ok(KernelChange::Routes(routes));
            }
            if self.pending.snapshot {
                return Ok(KernelChange::Snapshot);
            }
            self.changes.read(&mut self.pending).await.map_err(|_| KernelError::Lost)?;
        }
    }

    /// Waits until a snapshot may differ.
    pub(crate) async fn changed(&mut self) -> Result<(), KernelError> {
        while self.next_change().await? != KernelChange::Snapshot {}
        Ok(())
    }

    /// Forgets the default routes if they may have changed. The kernel removes IPv4 routes without a message when their
    /// device goes down or loses its address.
    fn forget_defaults(&mut self) {
        let (lost, known) = (&self.pending.lost, self.defaults.iter().flatten());
        let is_affected = known.into_iter().any(|route| {
            lost.devices.contains(&route.device) || route.source.is_some_and(|source| lost.addresses.contains(&source))
        });
        if self.pending.defaults || is_affected {
            self.defaults = None;
        }
        self.pending.defaults = false;
        self.pending.lost = changes::Lost::default();
    }
}
