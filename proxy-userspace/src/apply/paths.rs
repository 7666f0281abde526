//! What the ways to backends mean: from which address of this node each is reached, and whether its replies come back through
//! the node. Asked when a backend comes, and again when routes change.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;
use proxy_common::{
    Address, Backend,
    node::{NODE_IPV6, SOURCES},
};
use tracing::{debug, error, info, warn};

use super::{
    Dataplane,
    backends::{Backends, Path},
    prefilter::Filters,
};
use crate::{
    logging::errors::Report,
    maps::{
        Maps,
        store::{Cells, Store},
    },
    node::{route_lookup::RouteLookup, rtnetlink::Routes},
};

/// What is known of ways and sources.
#[derive(Default)]
pub(super) struct Paths {
    /// Nobody is asked unless there is one: then all backends are reached from the node's own address.
    ways: Option<RouteLookup>,
    /// Devices that lead out of the node.
    outward: BTreeSet<u32>,
    /// NODE_ADDRESSES but the node's own.
    sources: BTreeMap<u8, IpAddr>,
    /// That there is no room for one more has been said since one became free.
    is_full_told: bool,
}

impl Paths {
    /// The path to `address`; `own` are the node's own addresses.
    fn find(
        &mut self,
        address: IpAddr,
        own: [Option<IpAddr>; 2],
        maps: (&mut impl Cells<Address>, &mut dyn FnMut(IpAddr)),
    ) -> Path {
        let Some(way) = self.ways.as_mut().and_then(|ways| ways.ask(address)) else { return Path::default() };
        let is_outward = self.outward.contains(&way.device);
        let source = way.source.filter(|source| is_usable(*source) && !own.contains(&Some(*source)));
        Path { is_outward, source: source.map_or(0, |source| self.source(source, maps)) }
    }

    /// The index of a source, which is made known if it is new; 0 if there is no room.
    fn source(&mut self, address: IpAddr, (array, announce): (&mut impl Cells<Address>, &mut dyn FnMut(IpAddr))) -> u8 {
        const FIRST: u32 = NODE_IPV6 + 1;
        if let Some((index, _)) = self.sources.iter().find(|(_, known)| **known == address) {
            return *index;
        }
        let free = (FIRST..SOURCES).filter_map(|index| u8::try_from(index).ok());
        let Some(index) = free.into_iter().find(|index| !self.sources.contains_key(index)) else {
            if !std::mem::replace(&mut self.is_full_told, true) {
                warn!(%address, "no room for one more source address: backends get the node's own");
            }
            return 0;
        };
        announce(address);
        if let Err(error) = array.set(index.into(), Address::from(address)) {
            error!(%address, error = %Report(&error), "degraded: backends get the node's own address as source");
            return 0;
        }
        debug!(%address, index, "a source of what is forwarded");
        self.sources.insert(index, address);
        index
    }
}

/// Whether other nodes can reply to it.
fn is_usable(address: IpAddr) -> bool {
    let is_local = match address {
        IpAddr::V4(ipv4) => ipv4.is_link_local(),
        IpAddr::V6(ipv6) => ipv6.is_unicast_link_local(),
    };
    !(is_local || address.is_loopback() || address.is_unspecified())
}

impl<S: Store> Dataplane<S> {
    /// Asks the kernel for the ways to backends from now on. Has to be called on a thread in the namespace that is meant.
    #[must_use]
    pub fn asking_for_ways(mut self) -> Self {
        self.paths.ways = Some(RouteLookup::default());
        self
    }

    /// Takes over the sources that an earlier agent has written.
    pub(super) fn adopt_sources(&mut self) {
        for index in self.backends.sources().into_iter().filter(|index| *index != 0) {
            let address = self.maps.node_addresses.get(index.into());
            if let Some(address) = address.filter(|address| *address != Address::default()).map(IpAddr::from) {
                self.filters.put_node(&mut self.maps.filters, address);
                self.paths.sources.insert(index, address);
            }
        }
    }

    /// One more list names a backend: its id, or none when there is no room.
    pub(super) fn acquire(&mut self, backend: std::net::SocketAddr) -> Option<u32> {
        self.with_paths(|known, map, find| known.acquire(map, backend, find))
    }

    /// Does something to backends that takes the path to an address.
    fn with_paths<T>(
        &mut self,
        act: impl FnOnce(&mut Backends, &mut S::Mapped<Backend>, &mut dyn FnMut(IpAddr) -> Path) -> T,
    ) -> T {
        let Self {
            maps: Maps { backends: map, node_addresses, filters: arrays, .. },
            backends,
            filters,
            paths,
            node_addresses: own,
            ..
        } = self;
        let mut announce = |address| Filters::put_node(filters, arrays, address);
        act(backends, map, &mut |address| paths.find(address, *own, (node_addresses, &mut announce)))
    }

    /// Devices that lead out of the node; `moved`: its addresses have changed.
    pub fn set_outward(&mut self, outward: &BTreeSet<u32>) {
        self.paths.outward.clone_from(outward);
        self.reroute(&Routes::All);
    }

    /// Whether rules of policy routing tell backends' replies from what comes from their frontends.
    pub fn set_ruled(&mut self, ruled: bool) {
        self.filters.set_ruled(&mut self.maps.filters, ruled);
    }

    /// Whether a prefix has a backend in it that is on this node, and replies through it.
    pub fn has_backend_here(&self, net: IpNet) -> bool {
        self.backends.is_any_here(net.network(), last(net))
    }

    /// Routes have changed: looks anew at the backends that they may lead to.
    pub fn reroute(&mut self, routes: &Routes) {
        if self.paths.ways.is_none() {
            return;
        }
        let addresses: BTreeSet<IpAddr> = match routes {
            Routes::All => every().into_iter().flat_map(|(first, last)| self.backends.addresses(first, last)).collect(),
            Routes::Some(nets) => {
                nets.iter().flat_map(|net| self.backends.addresses(net.network(), last(*net))).collect()
            }
        };
        for address in addresses {
            self.redirect(address);
        }
        if *routes == Routes::All {
            self.forget_sources();
        }
    }

    fn redirect(&mut self, address: IpAddr) {
        let past = self.with_paths(|known, map, find| known.redirect(map, address, find(address)));
        past.into_iter().for_each(tell_past);
    }

    /// Frees the sources that no backend is reached from any more. Flows that have them keep them.
    fn forget_sources(&mut self) {
        let used = self.backends.sources();
        let gone: Vec<u8> = self.paths.sources.keys().filter(|index| !used.contains(index)).copied().collect();
        self.paths.is_full_told &= gone.is_empty();
        for address in gone.into_iter().filter_map(|index| self.paths.sources.remove(&index)) {
            self.filters.remove_node(address);
        }
    }
}

/// The first and the last address of each family.
fn every() -> [(IpAddr, IpAddr); 2] {
    [
        (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::BROADCAST.into()),
        (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::from(u128::MAX).into()),
    ]
}

fn last(net: IpNet) -> IpAddr {
    net.broadcast()
}

/// Says what becomes of a backend whose replies go past the node.
pub(super) fn tell_past(backend: std::net::SocketAddr) {
    info!(
        %backend,
        "the route to a backend on this node leads out of the node, so its replies bypass the node: the backend sees this \
         node's address as the client's; with externalTrafficPolicy Local it sees the client's own address, and clients reject \
         its replies"
    );
}
