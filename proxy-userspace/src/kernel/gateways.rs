//! Devices that routes with a link-local gateway lead out of: another router is behind them, whatever addresses they have (RFC 5549;
//! BGP unnumbered). Read from the bytes of a route's message, for each of perhaps a million.

use std::net::IpAddr;

use super::changes::{attribute, ip, word};

const RTM_NEWROUTE: u16 = 24;
const RTN_UNICAST: u8 = 1;
const RT_TABLE_MAIN: u8 = 254;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_MULTIPATH: u16 = 9;
const RTA_VIA: u16 = 18;
/// `struct nlmsghdr`, `struct rtmsg` and `struct rtnexthop`.
const HEADER: usize = 16;
const ROUTE: usize = 12;
const HOP: usize = 8;

/// The devices of a message that says that such a route of the main table is there. None in any other message.
pub(super) fn devices(message: &[u8]) -> Vec<u32> {
    read(message).unwrap_or_default()
}

fn read(message: &[u8]) -> Option<Vec<u32>> {
    let kind = u16::from_ne_bytes(*message.get(4..)?.first_chunk()?);
    let route = message.get(HEADER..)?;
    let (family, attributes) = (*route.first()?, route.get(ROUTE..)?);
    if kind != RTM_NEWROUTE || *route.get(4)? != RT_TABLE_MAIN || *route.get(7)? != RTN_UNICAST {
        return None;
    }
    let mut found = Vec::new();
    if is_link_local(family, attributes) {
        found.extend(attribute(attributes, &[RTA_OIF]).and_then(|bytes| word(bytes, 0)));
    }
    let mut hops = attribute(attributes, &[RTA_MULTIPATH]).unwrap_or_default();
    while let Some(length) = hops.first_chunk().map(|bytes| usize::from(u16::from_ne_bytes(*bytes))) {
        let hop = hops.get(..length.max(HOP))?;
        if is_link_local(family, hop.get(HOP..)?) {
            found.extend(word(hop, 4));
        }
        hops = hops.get(length.max(HOP).next_multiple_of(4)..).unwrap_or_default();
    }
    Some(found)
}

/// Whether the gateway that a route or hop of this family has is one. It may be of the other family.
fn is_link_local(family: u8, attributes: &[u8]) -> bool {
    let own = attribute(attributes, &[RTA_GATEWAY]).and_then(|bytes| ip(family, bytes));
    let via = || {
        let [family, _, address @ ..] = attribute(attributes, &[RTA_VIA])? else { return None };
        ip(*family, address)
    };
    own.or_else(via).is_some_and(|gateway| match gateway {
        IpAddr::V4(gateway) => gateway.is_link_local(),
        IpAddr::V6(gateway) => gateway.is_unicast_link_local(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NONE: [u32; 0] = [];
    const INET: u8 = 2;
    const INET6: u8 = 10;
    const LINK_LOCAL: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

    fn part(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn device(index: u32) -> Vec<u8> {
        part(RTA_OIF, &index.to_ne_bytes())
    }

    fn via() -> Vec<u8> {
        part(RTA_VIA, &[&[INET6, 0][..], &LINK_LOCAL].concat())
    }

    fn hop(index: u32, gateway: &[u8]) -> Vec<u8> {
        let length = u16::try_from(HOP + gateway.len()).unwrap();
        [&length.to_ne_bytes()[..], &[0, 0], &index.to_ne_bytes(), gateway].concat()
    }

    fn message(kind: u16, table: u8, route: u8, family: u8, attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes.extend([family, 24, 0, 0, table, 0, 0, route, 0, 0, 0, 0]);
        bytes.extend(attributes.concat());
        bytes
    }

    fn found(family: u8, attributes: &[Vec<u8>]) -> Vec<u32> {
        devices(&message(RTM_NEWROUTE, RT_TABLE_MAIN, RTN_UNICAST, family, attributes))
    }

    #[test]
    fn devices_behind_which_a_link_local_gateway_is_are_found() {
        assert_eq!(found(INET, &[device(7), via()]), [7]);
        assert_eq!(found(INET, &[device(7), part(RTA_GATEWAY, &[169, 254, 0, 1])]), [7]);
        assert_eq!(found(INET6, &[part(RTA_GATEWAY, &LINK_LOCAL), device(7)]), [7]);
        let hops = [hop(7, &via()), hop(8, &part(RTA_GATEWAY, &[192, 0, 2, 1])), hop(9, &via())].concat();
        assert_eq!(found(INET, &[part(RTA_MULTIPATH, &hops)]), [7, 9]);
    }

    #[test]
    fn other_routes_and_messages_say_nothing() {
        // Of plugins to pods and to other nodes.
        assert_eq!(found(INET, &[device(7)]), NONE);
        assert_eq!(found(INET, &[device(7), part(RTA_GATEWAY, &[10, 244, 1, 23])]), NONE);
        let whole = [device(7), via()];
        assert_eq!(devices(&message(25, RT_TABLE_MAIN, RTN_UNICAST, INET, &whole)), NONE, "it goes");
        assert_eq!(devices(&message(RTM_NEWROUTE, 10, RTN_UNICAST, INET, &whole)), NONE, "of a VRF");
        assert_eq!(devices(&message(RTM_NEWROUTE, RT_TABLE_MAIN, 7, INET, &whole)), NONE, "unreachable");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..96)) {
            let mut message = message(RTM_NEWROUTE, RT_TABLE_MAIN, RTN_UNICAST, INET, &[]);
            message.extend(&bytes);
            let _ = (devices(&message), devices(&bytes));
            let _ = found(INET, &[part(RTA_MULTIPATH, &bytes)]);
        }
    }
}
