//! Finds the devices of routes with a link-local gateway. Another router is behind such a device, whatever addresses the
//! device has (RFC 5549; BGP unnumbered).

use std::net::IpAddr;

use super::{
    changes::{attribute, ip, word},
    main_route::MainRoute,
    nexthops::{Hop, Nexthops},
};

const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_MULTIPATH: u16 = 9;
const RTA_VIA: u16 = 18;
/// `struct rtnexthop`.
const HOP: usize = 8;

/// Returns the devices of a route's link-local gateways; none if the route is gone.
pub(super) fn devices(route: &MainRoute<'_>, nexthops: &Nexthops) -> Vec<u32> {
    let mut found = Vec::new();
    if !route.is_new {
        return found;
    }
    if has_link_local(route.family, route.attributes()) {
        found.extend(route.attribute(&[RTA_OIF]).and_then(|bytes| word(bytes, 0)));
    }
    let mut hops = route.attribute(&[RTA_MULTIPATH]).unwrap_or_default();
    while let Some(length) = hops.first_chunk().map(|bytes| usize::from(u16::from_ne_bytes(*bytes)).max(HOP)) {
        let hop = hops.get(..length).unwrap_or(hops);
        if hop.get(HOP..).is_some_and(|attributes| has_link_local(route.family, attributes)) {
            found.extend(word(hop, 4));
        }
        hops = hops.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found.extend(route.nexthop().into_iter().flat_map(|id| behind(&nexthops.hops(id))));
    found
}

/// Returns the devices of hops with a link-local gateway.
pub(super) fn behind(hops: &[Hop]) -> Vec<u32> {
    hops.iter().filter(|hop| hop.gateway.is_some_and(is_link_local)).map(|hop| hop.device).collect()
}

/// True if the gateway of a route or hop of this family is link-local. The gateway may be of the other family.
fn has_link_local(family: u8, attributes: &[u8]) -> bool {
    let own = attribute(attributes, &[RTA_GATEWAY]).and_then(|bytes| ip(family, bytes));
    let via = || {
        let [family, _, address @ ..] = attribute(attributes, &[RTA_VIA])? else { return None };
        ip(*family, address)
    };
    own.or_else(via).is_some_and(is_link_local)
}

const fn is_link_local(gateway: IpAddr) -> bool {
    match gateway {
        IpAddr::V4(gateway) => gateway.is_link_local(),
        IpAddr::V6(gateway) => gateway.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::node::rtnetlink::{
        main_route::tests::{message, part},
        nexthops::tests::hop as object,
    };

    const NONE: [u32; 0] = [];
    const INET: u8 = 2;
    const INET6: u8 = 10;
    const LINK_LOCAL: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

    fn device(index: u32) -> Vec<u8> {
        part(RTA_OIF, &index.to_ne_bytes())
    }

    fn by_object(id: u32) -> Vec<u8> {
        part(30, &id.to_ne_bytes())
    }

    fn via() -> Vec<u8> {
        part(RTA_VIA, &[&[INET6, 0][..], &LINK_LOCAL].concat())
    }

    fn hop(index: u32, gateway: &[u8]) -> Vec<u8> {
        let length = u16::try_from(HOP + gateway.len()).unwrap();
        [&length.to_ne_bytes()[..], &[0, 0], &index.to_ne_bytes(), gateway].concat()
    }

    fn found(kind: u16, family: u8, attributes: &[Vec<u8>]) -> Vec<u32> {
        let mut nexthops = Nexthops::default();
        for object in [object(1, 7, Some("fe80::1")), object(2, 8, Some("192.0.2.1")), object(3, 9, None)] {
            assert!(nexthops.process(&object).is_none());
        }
        devices(&MainRoute::parse(&message([kind, 0], [family, 24, 254, 1], attributes)).unwrap(), &nexthops)
    }

    #[test]
    fn devices_behind_which_a_link_local_gateway_is_are_found() {
        assert_eq!(found(24, INET, &[device(7), via()]), [7]);
        assert_eq!(found(24, INET, &[device(7), part(RTA_GATEWAY, &[169, 254, 0, 1])]), [7]);
        assert_eq!(found(24, INET6, &[part(RTA_GATEWAY, &LINK_LOCAL), device(7)]), [7]);
        let hops = [hop(7, &via()), hop(8, &part(RTA_GATEWAY, &[192, 0, 2, 1])), hop(9, &via())].concat();
        assert_eq!(found(24, INET, &[part(RTA_MULTIPATH, &hops)]), [7, 9]);
        assert_eq!(found(24, INET, &[by_object(1)]), [7]);
    }

    #[test]
    fn other_routes_say_nothing() {
        // Routes of network plugins to pods and to other nodes.
        assert_eq!(found(24, INET, &[device(7)]), NONE);
        assert_eq!(found(24, INET, &[device(7), part(RTA_GATEWAY, &[10, 244, 1, 23])]), NONE);
        assert_eq!(found(25, INET, &[device(7), via()]), NONE, "it has gone");
        for id in 2..5 {
            assert_eq!(found(24, INET, &[by_object(id)]), NONE, "a global gateway, none, and no such object");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..96)) {
            let _ = found(24, INET, std::slice::from_ref(&bytes));
            let _ = found(24, INET, &[part(RTA_MULTIPATH, &bytes)]);
        }
    }
}
