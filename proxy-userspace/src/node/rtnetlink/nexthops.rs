//! Nexthop objects (`ip nexthop`, net/ipv4/nexthop.c), which routes may refer to by id, as FRR's do. With
//! `net.ipv4.nexthop_compat_mode` 0, the kernel's messages about such a route contain only the id, and when the object
//! changes, the kernel sends a message about the object alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::changes::{attribute, ip, word};

const RTM_NEWNEXTHOP: u16 = 104;
const RTM_GETNEXTHOP: u16 = 106;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x301;
/// The sizes of `struct nlmsghdr` and `struct nhmsg`.
const HEADER: usize = 16;
const NEXTHOP: usize = 8;
const NHA_ID: u16 = 1;
const NHA_GROUP: u16 = 2;
const NHA_OIF: u16 = 5;
const NHA_GATEWAY: u16 = 6;
/// The size of `struct nexthop_grp`, which begins with the member's id.
const MEMBER: usize = 8;

/// A next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    pub(super) device: u32,
    pub(super) gateway: Option<IpAddr>,
}

/// A nexthop object with a device.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Nexthop {
    Hop(Hop),
    /// A group, with the ids of its hops.
    Group(Vec<u32>),
}

/// All objects by id, and the ids of those that routes use.
#[derive(Debug, Default)]
pub(super) struct Nexthops {
    objects: BTreeMap<u32, Nexthop>,
    /// Objects that routes of the main table use or have used.
    used: BTreeSet<u32>,
    /// Objects in `used` whose routes must be read again when the object changes.
    followed: BTreeSet<u32>,
}

/// A change or removal of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) id: u32,
    /// Whether routes of the main table may have changed, or be gone, with the object.
    pub(super) is_used: bool,
    /// Whether routes that must be read again may have changed, or be gone, with the object.
    pub(super) is_followed: bool,
}

/// Encodes the request for all objects.
pub(super) fn request() -> Vec<u8> {
    const LENGTH: u32 = 24;
    let mut bytes = [&LENGTH.to_ne_bytes()[..], &RTM_GETNEXTHOP.to_ne_bytes(), &DUMP.to_ne_bytes()].concat();
    bytes.resize(HEADER + NEXTHOP, 0);
    bytes
}

impl Nexthops {
    /// Processes a message about an object. Returns the change, if there is one. A new object is not a change: no route uses it
    /// yet.
    pub(super) fn process(&mut self, message: &[u8]) -> Option<Change> {
        let (id, object) = parse(message)?;
        if self.objects.get(&id) == object.as_ref() {
            return None;
        }
        let change =
            Change { id, is_used: self.is_among(&self.used, id), is_followed: self.is_among(&self.followed, id) };
        let known = if let Some(object) = object {
            self.objects.insert(id, object)
        } else {
            self.used.remove(&id);
            self.followed.remove(&id);
            self.objects.remove(&id)
        };
        known.map(|_| change)
    }

    /// Notes that a route of the main table uses this object.
    pub(super) fn note_use(&mut self, id: u32, is_followed: bool) {
        self.used.insert(id);
        if is_followed {
            self.followed.insert(id);
        }
    }

    /// Returns the next hops of an object.
    pub(super) fn hops(&self, id: u32) -> Vec<Hop> {
        let hop = |id| match self.objects.get(id) {
            Some(Nexthop::Hop(hop)) => Some(*hop),
            _ => None,
        };
        match self.objects.get(&id) {
            Some(Nexthop::Group(members)) => members.iter().filter_map(hop).collect(),
            _ => hop(&id).into_iter().collect(),
        }
    }

    /// Forgets the objects of a device that has gone down or lost its carrier: the kernel removes them without a message.
    /// Returns true if there were any.
    pub(super) fn forget_device(&mut self, device: u32) -> bool {
        let before = self.objects.len();
        self.objects.retain(|_, object| !matches!(object, Nexthop::Hop(hop) if hop.device == device));
        self.objects.len() < before
    }

    /// True if `object`, or a group that contains it, is one of `ids`.
    fn is_among(&self, ids: &BTreeSet<u32>, object: u32) -> bool {
        let has = |id| matches!(self.objects.get(id), Some(Nexthop::Group(members)) if members.contains(&object));
        ids.contains(&object) || ids.iter().any(has)
    }
}

/// Parses the id and content of an object; the content is `None` if the object is gone or has no device.
fn parse(message: &[u8]) -> Option<(u32, Option<Nexthop>)> {
    let kind = u16::from_ne_bytes(*message.get(4..)?.first_chunk()?);
    let body = message.get(HEADER..)?;
    let (family, attributes) = (*body.first()?, body.get(NEXTHOP..)?);
    let id = attribute(attributes, &[NHA_ID]).and_then(|bytes| word(bytes, 0))?;
    let object = || {
        if let Some(group) = attribute(attributes, &[NHA_GROUP]) {
            return Some(Nexthop::Group(group.chunks(MEMBER).filter_map(|member| word(member, 0)).collect()));
        }
        let device = attribute(attributes, &[NHA_OIF]).and_then(|bytes| word(bytes, 0))?;
        let gateway = attribute(attributes, &[NHA_GATEWAY]).and_then(|bytes| ip(family, bytes));
        Some(Nexthop::Hop(Hop { device, gateway }))
    };
    Some((id, if kind == RTM_NEWNEXTHOP { object() } else { None }))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::node::rtnetlink::main_route::tests::part;

    const GONE: u16 = 105;
    const INET: u8 = 2;
    const INET6: u8 = 10;

    fn message(kind: u16, family: u8, attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes.extend([family, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(attributes.concat());
        bytes
    }

    fn number(kind: u16, value: u32) -> Vec<u8> {
        part(kind, &value.to_ne_bytes())
    }

    /// Encodes a message about a hop.
    pub(in super::super) fn hop(id: u32, device: u32, gateway: Option<&str>) -> Vec<u8> {
        let address = gateway.map(|gateway| gateway.parse::<IpAddr>().unwrap());
        let (family, gateway) = match address {
            Some(IpAddr::V4(address)) => (INET, part(NHA_GATEWAY, &address.octets())),
            Some(IpAddr::V6(address)) => (INET6, part(NHA_GATEWAY, &address.octets())),
            None => (INET, Vec::new()),
        };
        message(RTM_NEWNEXTHOP, family, &[number(NHA_ID, id), number(NHA_OIF, device), gateway])
    }

    fn group(id: u32, members: &[u32]) -> Vec<u8> {
        let members: Vec<u8> = members.iter().flat_map(|id| [id.to_ne_bytes(), [1, 0, 0, 0]].concat()).collect();
        message(RTM_NEWNEXTHOP, 0, &[number(NHA_ID, id), part(NHA_GROUP, &members)])
    }

    fn known(messages: &[Vec<u8>]) -> Nexthops {
        let mut nexthops = Nexthops::default();
        assert!(messages.iter().all(|message| nexthops.process(message).is_none()), "a new object is no change");
        nexthops
    }

    fn devices(nexthops: &Nexthops, id: u32) -> Vec<u32> {
        nexthops.hops(id).iter().map(|hop| hop.device).collect()
    }

    #[test]
    fn objects_lead_where_their_messages_say() {
        let mut nexthops = known(&[hop(1, 7, Some("192.0.2.1")), hop(2, 8, Some("fe80::1")), group(3, &[1, 2, 9])]);
        assert_eq!(nexthops.hops(1), [Hop { device: 7, gateway: "192.0.2.1".parse().ok() }]);
        assert_eq!(nexthops.hops(2), [Hop { device: 8, gateway: "fe80::1".parse().ok() }]);
        assert_eq!(devices(&nexthops, 3), [7, 8]);
        assert!(nexthops.forget_device(8) && !nexthops.forget_device(8));
        assert_eq!(devices(&nexthops, 3), [7]);
        let blackhole = message(RTM_NEWNEXTHOP, INET, &[number(NHA_ID, 1), part(4, &[])]);
        assert!(nexthops.process(&blackhole).is_some());
        assert!(nexthops.hops(3).is_empty());
    }

    #[test]
    fn changes_tell_whose_routes_they_concern() {
        let mut nexthops = known(&[hop(1, 7, None), hop(2, 8, None), hop(3, 9, None), group(4, &[1, 2])]);
        nexthops.note_use(4, true);
        nexthops.note_use(3, false);
        let change = |id, is_used, is_followed| Some(Change { id, is_used, is_followed });
        assert_eq!(nexthops.process(&hop(1, 7, None)), None, "nothing is different");
        assert_eq!(nexthops.process(&hop(1, 17, None)), change(1, true, true), "a member of the group");
        assert_eq!(nexthops.process(&hop(3, 19, None)), change(3, true, false));
        assert_eq!(nexthops.process(&group(4, &[1])), change(4, true, true));
        assert_eq!(nexthops.process(&hop(2, 18, None)), change(2, false, false), "it has left the group");
        let gone = message(GONE, 0, &[number(NHA_ID, 4)]);
        assert_eq!(nexthops.process(&gone), change(4, true, true));
        assert_eq!(nexthops.process(&gone), None);
        assert_eq!(nexthops.process(&hop(1, 7, None)), change(1, false, false));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Nexthops::default().process(&bytes);
            let _ = Nexthops::default().process(&message(RTM_NEWNEXTHOP, INET, std::slice::from_ref(&bytes)));
            let _ = Nexthops::default().process(&message(RTM_NEWNEXTHOP, INET, &[number(NHA_ID, 1), part(NHA_GROUP, &bytes)]));
        }
    }
}
