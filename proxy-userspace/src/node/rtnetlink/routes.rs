//! Finds the default routes of the main table, devices with link-local gateways, and host routes. Walks through all routes
//! one at a time, so that a full BGP table costs time but no memory.

use std::{io, net::IpAddr, ops::ControlFlow};

use rtnetlink::{
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        route::{
            RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteNextHop, RouteNextHopFlags,
            RouteType,
        },
    },
    sys::protocols::NETLINK_ROUTE,
};

use super::{
    DefaultRoute,
    changes::RawMessage,
    main_route::MainRoute,
    nexthops::{self, Hop, Nexthops},
    route_state::RouteState,
};
use crate::node::netlink::{DUMP, NetlinkSocket, encode, read};

/// The result of a walk.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// All default routes, in the kernel's order.
    pub(super) defaults: Vec<DefaultRoute>,
    /// What the watcher remembers of the other routes.
    pub(super) noted: RouteState,
}

/// Walks through the routes of the calling thread's network namespace.
pub(super) fn walk() -> io::Result<Found> {
    let mut found = Found::default();
    // Nexthop objects are read first, since routes refer to them. The kernel responds only after a running change of
    // nexthop objects, and of their routes, has ended.
    for request in [nexthops::request(), request(AddressFamily::Inet), request(AddressFamily::Inet6)] {
        match dump(&request, &mut found) {
            // A table or a family that has never been used does not exist.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result?,
        }
    }
    Ok(found)
}

/// Encodes the request for a family's routes in the main table.
fn request(family: AddressFamily) -> Vec<u8> {
    let mut wanted = RouteMessage::default();
    wanted.header.address_family = family;
    wanted.header.table = RouteHeader::RT_TABLE_MAIN;
    encode(RouteNetlinkMessage::GetRoute(wanted), DUMP)
}

fn dump(request: &[u8], found: &mut Found) -> io::Result<()> {
    let mut connection = NetlinkSocket::new(NETLINK_ROUTE)?;
    // Without strict checking, the kernel ignores the table in the request and sends all tables.
    connection.enable_strict_checking()?;
    connection.ask(request, |answer| {
        found.process(answer)?;
        Ok(ControlFlow::Continue(()))
    })
}

impl Found {
    /// Reads a message of a dump.
    pub(super) fn process(&mut self, message: &[u8]) -> io::Result<()> {
        if let Some(route) = MainRoute::parse(message) {
            self.noted.route(&route);
        }
        match RawMessage::parse(message) {
            RawMessage::Route { is_default: false, .. } => {}
            RawMessage::Nexthop(object) => drop(self.noted.nexthop(object)),
            _ => {
                if let Some(RouteNetlinkMessage::NewRoute(route)) = read(message)? {
                    self.defaults.extend(default_routes(&route, &self.noted.nexthops));
                }
            }
        }
        Ok(())
    }
}

fn is_main_default(route: &RouteHeader) -> bool {
    route.destination_prefix_length == 0 && route.table == RouteHeader::RT_TABLE_MAIN
}

/// Returns the default routes in a message. A route with several next hops counts as one route for each that is alive.
fn default_routes(message: &RouteMessage, nexthops: &Nexthops) -> Vec<DefaultRoute> {
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
    let mut routes = Vec::new();
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::MultiPath(hops) => routes.extend(live(hops, &route)),
            RouteAttribute::Oif(_) => routes.push(route.clone()),
            RouteAttribute::NhId(id) if !is_spelled_out(message) => {
                routes.extend(by_object(&nexthops.hops(*id), &route));
            }
            _ => {}
        }
    }
    routes
}

/// True if a route contains its next hops itself, besides any object.
fn is_spelled_out(message: &RouteMessage) -> bool {
    let says = |attribute: &_| matches!(attribute, RouteAttribute::MultiPath(_) | RouteAttribute::Oif(_));
    message.attributes.iter().any(says)
}

fn live(hops: &[RouteNextHop], route: &DefaultRoute) -> impl Iterator<Item = DefaultRoute> {
    hops.iter().filter(|hop| !hop.flags.contains(RouteNextHopFlags::Dead)).map(|hop| {
        let mut route = DefaultRoute { device: hop.interface_index, ..route.clone() };
        route.read(&hop.attributes);
        route
    })
}

fn by_object(hops: &[Hop], route: &DefaultRoute) -> impl Iterator<Item = DefaultRoute> {
    hops.iter().map(|hop| DefaultRoute { device: hop.device, gateway: hop.gateway, ..route.clone() })
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
