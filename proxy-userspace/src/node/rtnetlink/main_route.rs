//! Parses only the header of a message about a unicast route of the main table (rtnetlink(7)), since there may be a million of
//! them.

use super::changes::{attribute, word};

const NLM_F_REPLACE: u16 = 0x100;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTN_UNICAST: u8 = 1;
const RT_TABLE_MAIN: u8 = 254;
const RTA_NH_ID: u16 = 30;
/// The sizes of `struct nlmsghdr` and `struct rtmsg`.
const HEADER: usize = 16;
const ROUTE: usize = 12;

/// A unicast route of the main table.
#[derive(Clone, Copy, Debug)]
pub(super) struct MainRoute<'a> {
    /// Whether the route exists now; false if it is gone.
    pub(super) is_new: bool,
    /// Whether the route has replaced another route to the same prefix.
    pub(super) replaces: bool,
    /// The family, an AF_….
    pub(super) family: u8,
    /// The length of the destination's prefix, in bits.
    pub(super) bits: u8,
    attributes: &'a [u8],
}

impl<'a> MainRoute<'a> {
    /// Parses a message; `None` if it is another message, or truncated.
    pub(super) fn parse(message: &'a [u8]) -> Option<Self> {
        let half = |at| Some(u16::from_ne_bytes(*message.get(at..)?.first_chunk()?));
        let (kind, flags) = (half(4)?, half(6)?);
        let route = message.get(HEADER..)?;
        let (family, bits, attributes) = (*route.first()?, *route.get(1)?, route.get(ROUTE..)?);
        let is_meant = [RTM_NEWROUTE, RTM_DELROUTE].contains(&kind)
            && *route.get(4)? == RT_TABLE_MAIN
            && *route.get(7)? == RTN_UNICAST;
        let (is_new, replaces) = (kind == RTM_NEWROUTE, flags & NLM_F_REPLACE != 0);
        is_meant.then_some(Self { is_new, replaces, family, bits, attributes })
    }

    /// Returns the value of the first of these kinds of attributes that is present.
    pub(super) fn attribute(&self, kinds: &[u16]) -> Option<&'a [u8]> {
        attribute(self.attributes, kinds)
    }

    /// Returns the id of the route's nexthop object, if it has one.
    pub(super) fn nexthop(&self) -> Option<u32> {
        self.attribute(&[RTA_NH_ID]).and_then(|bytes| word(bytes, 0))
    }

    /// Returns all attributes.
    pub(super) const fn attributes(&self) -> &'a [u8] {
        self.attributes
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Encodes an attribute.
    pub(in super::super) fn part(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// Encodes a message with these flags about a route of this family, prefix length, table and type.
    pub(in super::super) fn message(
        [kind, flags]: [u16; 2],
        [family, bits, table, route]: [u8; 4],
        attributes: &[Vec<u8>],
    ) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes.extend([family, bits, 0, 0, table, 0, 0, route, 0, 0, 0, 0]);
        bytes.extend(attributes.concat());
        bytes
    }

    #[test]
    fn only_routes_of_the_main_table_that_lead_somewhere_count() {
        let read = |kind, table, route| {
            let bytes = message([kind, NLM_F_REPLACE], [2, 24, table, route], &[part(1, b"abcd")]);
            MainRoute::parse(&bytes).map(|route| (route.is_new, route.replaces, route.family, route.bits))
        };
        assert_eq!(read(RTM_NEWROUTE, RT_TABLE_MAIN, RTN_UNICAST), Some((true, true, 2, 24)));
        assert_eq!(read(RTM_DELROUTE, RT_TABLE_MAIN, RTN_UNICAST), Some((false, true, 2, 24)));
        // A link's message, a route of a VRF, and an unreachable route.
        for (kind, table, route) in [(16, RT_TABLE_MAIN, RTN_UNICAST), (RTM_NEWROUTE, 10, 1), (RTM_NEWROUTE, 254, 7)] {
            assert_eq!(read(kind, table, route), None);
        }
        assert!(MainRoute::parse(&message([24, 0], [2, 24, 254, 1], &[])[..27]).is_none());
    }
}
