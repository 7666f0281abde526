//! Addresses that a route of their own leads to, by a device and without a gateway: pods of this node, as network plugins without a
//! bridge have them. Read from the bytes of a route's message, for each of perhaps a million.

use std::net::IpAddr;

use super::changes::{attribute, ip, word};

/// More of them than any node has pods are not followed.
pub(super) const HOSTS_MAX: usize = 4096;

const NLM_F_REPLACE: u16 = 0x100;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTN_UNICAST: u8 = 1;
const RT_TABLE_MAIN: u8 = 254;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_VIA: u16 = 18;
/// `struct nlmsghdr` and `struct rtmsg`.
const HEADER: usize = 16;
const ROUTE: usize = 12;

/// Such a route of the main table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Host {
    pub(super) address: IpAddr,
    pub(super) device: u32,
}

/// The one that a message is about, and whether it is there now: a route by a gateway may have replaced it.
pub(super) fn read(message: &[u8]) -> Option<(Host, bool)> {
    let half = |at| Some(u16::from_ne_bytes(*message.get(at..)?.first_chunk()?));
    let (kind, replaces) = (half(4)?, half(6)? & NLM_F_REPLACE != 0);
    let is_new = [RTM_DELROUTE, RTM_NEWROUTE].iter().position(|known| *known == kind)? == 1;
    let route = message.get(HEADER..)?;
    let (family, bits, attributes) = (*route.first()?, *route.get(1)?, route.get(ROUTE..)?);
    let is_whole = bits == if i32::from(family) == libc::AF_INET { 32 } else { 128 };
    if !is_whole || *route.get(4)? != RT_TABLE_MAIN || *route.get(7)? != RTN_UNICAST {
        return None;
    }
    let address = attribute(attributes, &[RTA_DST]).and_then(|bytes| ip(family, bytes))?;
    let device = attribute(attributes, &[RTA_OIF]).and_then(|bytes| word(bytes, 0))?;
    let has_gateway = attribute(attributes, &[RTA_GATEWAY, RTA_VIA]).is_some();
    let counts = !has_gateway || is_new && replaces;
    counts.then_some((Host { address, device }, is_new && !has_gateway))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat()
    }

    fn message(kind: u16, [family, bits, table, route]: [u8; 4], attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes.extend([family, bits, 0, 0, table, 0, 0, route, 0, 0, 0, 0]);
        bytes.extend(attributes.concat());
        bytes
    }

    #[test]
    fn field_s03_routes_to_one_address_by_a_device_are_read() {
        let (to, by) = (part(RTA_DST, &[10, 96, 5, 7]), part(RTA_OIF, &7_u32.to_ne_bytes()));
        let host = Host { address: "10.96.5.7".parse().unwrap(), device: 7 };
        let whole = [to.clone(), by.clone()];
        assert_eq!(read(&message(24, [2, 32, 254, 1], &whole)), Some((host, true)));
        assert_eq!(read(&message(25, [2, 32, 254, 1], &whole)), Some((host, false)));
        let six = [part(RTA_DST, &[0xfd; 16]), by.clone()];
        assert!(read(&message(24, [10, 128, 254, 1], &six)).is_some());
        // Of another type, in another table, to a network, by a gateway, of a blackhole's kind.
        for numbers in [[2, 32, 254, 2], [2, 32, 255, 1], [2, 24, 254, 1]] {
            assert_eq!(read(&message(24, numbers, &whole)), None, "{numbers:?}");
        }
        let gateway = part(RTA_GATEWAY, &[10, 0, 0, 1]);
        let mut by_gateway = message(24, [2, 32, 254, 1], &[to.clone(), by, gateway]);
        assert_eq!(read(&by_gateway), None);
        by_gateway[6..8].copy_from_slice(&NLM_F_REPLACE.to_ne_bytes());
        assert_eq!(read(&by_gateway), Some((host, false)));
        assert_eq!(read(&message(24, [2, 32, 254, 1], &[to])), None);
        assert_eq!(read(&message(16, [2, 32, 254, 1], &whole)), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut message = message(24, [2, 32, 254, 1], &[]);
            message.extend(&bytes);
            let _ = (read(&message), read(&bytes));
        }
    }
}
