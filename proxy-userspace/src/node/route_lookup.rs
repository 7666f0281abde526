//! Looks up the route from this node to a backend in the kernel's routing tables and rules, one address at a time.

use std::{io, net::IpAddr};

use rtnetlink::{
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        route::{RouteAddress, RouteAttribute, RouteMessage, RouteType, RouteVia},
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
    /// The next router; `None` if the address is reached directly. It may be of the other family (RFC 5549).
    pub(crate) gateway: Option<IpAddr>,
}

/// The kernel's answer about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RouteAnswer {
    /// The address is this node's own.
    Own,
    /// It is reached by this route.
    By(ResolvedRoute),
    /// A route of type unreachable, prohibit or blackhole refuses it.
    Refused,
    /// There is no route.
    None,
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
        match self.answer(to) {
            RouteAnswer::By(route) => Some(route),
            RouteAnswer::Own | RouteAnswer::Refused | RouteAnswer::None => None,
        }
    }

    /// Returns what the kernel says of an address.
    pub(crate) fn answer(&mut self, to: IpAddr) -> RouteAnswer {
        if self.connection.is_none() {
            let made = NetlinkSocket::new(NETLINK_ROUTE)
                .inspect_err(|error| warn!(error = %Report(error), "can't look up routes to backends"));
            self.connection = made.ok();
        }
        let Some(connection) = self.connection.as_mut() else { return RouteAnswer::None };
        let answers = match connection.request(question(to), ACK) {
            Ok(answers) => answers,
            Err(error) => return refusal(&error),
        };
        let read = |answer: &RouteNetlinkMessage| match answer {
            RouteNetlinkMessage::NewRoute(route) => Some(read(route)),
            _ => None,
        };
        answers.iter().find_map(read).unwrap_or(RouteAnswer::None)
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

/// Interprets the error of a request: that of a route which refuses, or of none (`fib_props` in net/ipv4/fib_semantics.c).
fn refusal(error: &io::Error) -> RouteAnswer {
    match error.raw_os_error() {
        Some(libc::EHOSTUNREACH | libc::EACCES | libc::EINVAL) => RouteAnswer::Refused,
        _ => RouteAnswer::None,
    }
}

fn read(route: &RouteMessage) -> RouteAnswer {
    match route.header.kind {
        RouteType::Unicast => {}
        RouteType::Local => return RouteAnswer::Own,
        RouteType::Unreachable | RouteType::Prohibit | RouteType::BlackHole => return RouteAnswer::Refused,
        _ => return RouteAnswer::None,
    }
    let (mut device, mut source, mut gateway) = (None, None, None);
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(index) => device = Some(*index),
            RouteAttribute::PrefSource(address) => source = ip(address),
            RouteAttribute::Gateway(address) => gateway = ip(address),
            RouteAttribute::Via(RouteVia::Inet(ipv4)) => gateway = Some(IpAddr::from(*ipv4)),
            RouteAttribute::Via(RouteVia::Inet6(ipv6)) => gateway = Some(IpAddr::from(*ipv6)),
            _ => {}
        }
    }
    device.map_or(RouteAnswer::None, |device| RouteAnswer::By(ResolvedRoute { device, source, gateway }))
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ipv4) => Some(IpAddr::from(*ipv4)),
        RouteAddress::Inet6(ipv6) => Some(IpAddr::from(*ipv6)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w08_this_nodes_own_addresses_need_no_way() {
        let mut ways = RouteLookup::default();
        for address in ["127.0.0.1", "::1"] {
            assert_eq!(ways.ask(address.parse().unwrap()), None);
            assert_eq!(ways.answer(address.parse().unwrap()), RouteAnswer::Own);
        }
    }
}
