//! Looks up the routes to backends: from which address of this node each backend is reached, and whether its replies come back
//! through the node. Each is looked up when a backend is added, and again when routes change.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
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
    filters::Filters,
};
use crate::{
    logging::errors::Report,
    maps::{
        Maps,
        store::{Cells, Store},
    },
    node::{route_lookup::RouteLookup, rtnetlink::Routes},
};

/// The lookup of routes to backends, and the source addresses in NODE_ADDRESSES.
#[derive(Default)]
pub(super) struct Paths {
    /// `None` if routes are not looked up: then every backend is reached from the node's own address.
    lookup: Option<RouteLookup>,
    /// Devices that lead out of the node.
    outward: BTreeSet<u32>,
    /// The entries of NODE_ADDRESSES by index, without the node's own addresses.
    sources: BTreeMap<u8, IpAddr>,
    /// Whether it has been logged that NODE_ADDRESSES is full; reset when an entry becomes free.
    has_warned_of_full: bool,
}

impl Paths {
    /// Looks up the path to `address`. `own` are the node's own addresses, IPv4 then IPv6.
    fn find(
        &mut self,
        address: IpAddr,
        own: [Option<IpAddr>; 2],
        maps: (&mut impl Cells<Address>, &mut dyn FnMut(IpAddr)),
    ) -> Path {
        let Some(route) = self.lookup.as_mut().and_then(|lookup| lookup.ask(address)) else { return Path::default() };
        let is_outward = self.outward.contains(&route.device);
        let source = route.source.filter(|source| is_usable(*source) && !own.contains(&Some(*source)));
        Path { is_outward, source: source.map_or(0, |source| self.source(source, maps)) }
    }

    /// Returns the index of a source address in NODE_ADDRESSES, and writes it there if it is new. Returns 0, the node's own
    /// address, if the map is full or refuses the write. `announce` sets the address's filter bit first.
    fn source(&mut self, address: IpAddr, (array, announce): (&mut impl Cells<Address>, &mut dyn FnMut(IpAddr))) -> u8 {
        const FIRST: u32 = NODE_IPV6 + 1;
        if let Some((index, _)) = self.sources.iter().find(|(_, known)| **known == address) {
            return *index;
        }
        let free = (FIRST..SOURCES).filter_map(|index| u8::try_from(index).ok());
        let Some(index) = free.into_iter().find(|index| !self.sources.contains_key(index)) else {
            if !std::mem::replace(&mut self.has_warned_of_full, true) {
                warn!(
                    %address, room = SOURCES,
                    "NODE_ADDRESSES is full, and its size is fixed: backends that are reached from further source addresses see the \
                     node's own address"
                );
            }
            return 0;
        };
        announce(address);
        if let Err(error) = array.set(index.into(), Address::from(address)) {
            error!(
                %address, error = %Report(&error),
                "degraded: failed to write a source address; backends reached from it see the node's own address"
            );
            return 0;
        }
        debug!(%address, index, "new source address for forwarded packets");
        self.sources.insert(index, address);
        index
    }
}

/// Whether other nodes can reply to this source address.
fn is_usable(address: IpAddr) -> bool {
    let is_local = match address {
        IpAddr::V4(ipv4) => ipv4.is_link_local(),
        IpAddr::V6(ipv6) => ipv6.is_unicast_link_local(),
    };
    !(is_local || address.is_loopback() || address.is_unspecified())
}

impl<S: Store> Dataplane<S> {
    /// Sets whether routes to backends are looked up from now on. Must be called on a thread in the network namespace whose routes
    /// are meant.
    #[must_use]
    pub fn with_route_lookup(mut self, is_needed: bool) -> Self {
        self.paths.lookup = is_needed.then(RouteLookup::default);
        self
    }

    /// Takes over the source addresses that an earlier agent has written.
    pub(super) fn adopt_sources(&mut self) {
        for index in self.backends.sources().into_iter().filter(|index| *index != 0) {
            let address = self.maps.node_addresses.get(index.into());
            if let Some(address) = address.filter(|address| *address != Address::default()).map(IpAddr::from) {
                self.filters.put_node(&mut self.maps.filters, address);
                self.paths.sources.insert(index, address);
            }
        }
    }

    /// Adds a user to a backend and returns its id; `None` when BACKENDS is full. See [`Backends::acquire`].
    pub(super) fn acquire(&mut self, backend: std::net::SocketAddr) -> Option<u32> {
        self.with_paths(|known, map, find| known.acquire(map, backend, find))
    }

    /// Calls `act` with the backends, their map, and a function that looks up the path to an address.
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

    /// Sets the devices, by index, that lead out of the node, and looks up the routes to all backends again.
    pub fn set_outward(&mut self, outward: &BTreeSet<u32>) {
        self.paths.outward.clone_from(outward);
        self.reroute(&Routes::All);
    }

    /// Sets whether rules of policy routing may route a backend's replies differently from packets of the frontend's address.
    pub fn set_source_rules(&mut self, has_source_rules: bool) {
        self.filters.set_source_rules(&mut self.maps.filters, has_source_rules);
    }

    /// Whether a prefix contains a backend on this node that replies through the node.
    pub fn has_backend_here(&self, net: IpNet) -> bool {
        self.backends.has_local_at(&self.maps.backends, |address| net.contains(&address))
    }

    /// To be called when routes have changed: looks up again the backends that they may lead to.
    pub fn reroute(&mut self, routes: &Routes) {
        if self.paths.lookup.is_none() {
            return;
        }
        let addresses = match routes {
            Routes::All => self.backends.addresses(&self.maps.backends, |_| true),
            Routes::Some(nets) => self.backends.addresses(&self.maps.backends, within(nets)),
        };
        let past = self.with_paths(|known, map, find| {
            let paths = addresses.into_iter().map(|address| (address, find(address))).collect();
            known.set_paths(map, &paths)
        });
        past.into_iter().for_each(log_bypass);
        if *routes == Routes::All {
            self.forget_sources();
        }
    }

    /// Frees the indices of source addresses that no backend is reached from any more. Existing flows keep theirs.
    fn forget_sources(&mut self) {
        let used = self.backends.sources();
        let gone: Vec<u8> = self.paths.sources.keys().filter(|index| !used.contains(index)).copied().collect();
        self.paths.has_warned_of_full &= gone.is_empty();
        for address in gone.into_iter().filter_map(|index| self.paths.sources.remove(&index)) {
            self.filters.remove_node(address);
        }
    }
}

/// Returns whether an address is in one of the prefixes. Thousands of routes may change at once, so each address is looked up by
/// binary search.
fn within<'a>(nets: impl IntoIterator<Item = &'a IpNet>) -> impl Fn(IpAddr) -> bool {
    let mut disjoint = IpNet::aggregate(&nets.into_iter().copied().collect::<Vec<_>>());
    disjoint.sort_unstable_by_key(IpNet::network);
    move |address| {
        let after = disjoint.partition_point(|net| net.network() <= address);
        disjoint[..after].last().is_some_and(|net| net.contains(&address))
    }
}

/// Logs what follows for a backend on this node whose replies bypass the node.
pub(super) fn log_bypass(backend: std::net::SocketAddr) {
    info!(
        %backend,
        "the route to a backend on this node leads out of the node, so its replies bypass the node: the backend sees this \
         node's address as the client's; with externalTrafficPolicy Local it sees the client's own address, and clients reject \
         its replies"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_within_the_prefixes_that_contain_it() {
        let nets = ["10.0.0.0/8", "10.1.0.0/16", "192.0.2.7/32", "fd00::/16", "::/0"].map(|net| net.parse().unwrap());
        let is_within = within(&nets[..4]);
        for (address, expected) in [
            ("9.255.255.255", false),
            ("10.0.0.0", true),
            ("10.1.2.3", true),
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("fd00:1::", true),
            ("fd01::", false),
        ] {
            assert_eq!(is_within(address.parse().unwrap()), expected, "{address}");
        }
        assert!(!within(&nets[4..])("10.0.0.1".parse().unwrap()) && !within(&[])("::1".parse().unwrap()));
    }
}
