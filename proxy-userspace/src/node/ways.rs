//! The way that packets take from this node to a backend, as the kernel's routing tables and rules have it. Asks one address
//! at a time; what follows from the answer is the caller's decision.

use std::net::IpAddr;

use rtnetlink::{
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        route::{RouteAddress, RouteAttribute, RouteMessage, RouteType},
    },
    sys::protocols::NETLINK_ROUTE,
};
use tracing::warn;

use crate::node::netlink::{ACK, Connection};

/// A way to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// The device that it leads out of.
    pub(crate) device: u32,
    /// The address that the kernel would send from.
    pub(crate) source: Option<IpAddr>,
}

/// Asks the kernel.
#[derive(Default)]
pub(crate) struct Ways {
    connection: Option<Connection>,
}

impl Ways {
    /// The way to an address elsewhere; none to this node's own, and where no route leads.
    pub(crate) fn ask(&mut self, to: IpAddr) -> Option<Way> {
        if self.connection.is_none() {
            let made = Connection::new(NETLINK_ROUTE)
                .inspect_err(|error| warn!(%error, "ways to backends can't be asked for"));
            self.connection = made.ok();
        }
        // An error is the kernel's way to say that there is no route.
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

fn read(route: &RouteMessage) -> Option<Way> {
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
    Some(Way { device: device?, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w08_this_nodes_own_addresses_need_no_way() {
        let mut ways = Ways::default();
        for address in ["127.0.0.1", "::1"] {
            assert_eq!(ways.ask(address.parse().unwrap()), None);
        }
    }
}
