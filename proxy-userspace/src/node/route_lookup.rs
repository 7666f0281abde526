//! Looks up the route from this node to a backend in the kernel's routing tables and rules, one address at a time.

use std::net::IpAddr;

use rtnetlink::{
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        route::{RouteAddress, RouteAttribute, RouteMessage, RouteType},
    },
    sys::protocols::NETLINK_ROUTE,
};
use tracing::warn;

use crate::{
    logging::errors::Report,
    node::netlink::{ACK, NetlinkSocket},
};

/// A resolved route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResolvedRoute {
    /// The index of the outgoing device.
    pub(crate) device: u32,
    /// The source address that the kernel would choose.
    pub(crate) source: Option<IpAddr>,
}

/// Asks the kernel for routes.
#[derive(Default)]
pub(crate) struct RouteLookup {
    connection: Option<NetlinkSocket>,
}

impl RouteLookup {
    /// Returns the route to an address of another node or pod; `None` for this node's own addresses, and for addresses
    /// without a route.
    pub(crate) fn ask(&mut self, to: IpAddr) -> Option<ResolvedRoute> {
        if self.connection.is_none() {
            let made = NetlinkSocket::new(NETLINK_ROUTE)
                .inspect_err(|error| warn!(error = %Report(error), "can't look up routes to backends"));
            self.connection = made.ok();
        }
        // If there is no route, the kernel responds with an error.
        let answers = self.connection.as_mut()?.request(question(to), ACK).ok()?;
        answers.iter().find_map(|answer| match answer {
            RouteNetlinkMessage::NewRoute(route) => read(route),
            _ => None,
        })
    }
}

fn question(to: IpAddr) -> RouteNetlinkMessage {
    let mut message = RouteMessage::default();
    let (family, bits, address) = match to {
        IpAddr::V4(ipv4) => (AddressFamily::Inet, 32, RouteAddress::Inet(ipv4)),
        IpAddr::V6(ipv6) => (AddressFamily::Inet6, 128, RouteAddress::Inet6(ipv6)),
    };
    message.header.address_family = family;
    message.header.destination_prefix_length = bits;
    message.attributes.push(RouteAttribute::Destination(address));
    RouteNetlinkMessage::GetRoute(message)
}

fn read(route: &RouteMessage) -> Option<ResolvedRoute> {
    if route.header.kind != RouteType::Unicast {
        return None;
    }
    let (mut device, mut source) = (None, None);
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(index) => device = Some(*index),
            RouteAttribute::PrefSource(RouteAddress::Inet(ipv4)) => source = Some(IpAddr::from(*ipv4)),
            RouteAttribute::PrefSource(RouteAddress::Inet6(ipv6)) => source = Some(IpAddr::from(*ipv6)),
            _ => {}
        }
    }
    Some(ResolvedRoute { device: device?, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w08_this_nodes_own_addresses_need_no_way() {
        let mut ways = RouteLookup::default();
        for address in ["127.0.0.1", "::1"] {
            assert_eq!(ways.ask(address.parse().unwrap()), None);
        }
    }
}
