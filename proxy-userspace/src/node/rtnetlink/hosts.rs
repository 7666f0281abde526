//! Tracks host routes to a device without a gateway: network plugins without a bridge add one for each pod on this node.

use std::net::IpAddr;

use super::{
    changes::{ip, word},
    main_route::MainRoute,
    nexthops::Nexthops,
};

/// The most host routes that are tracked: more than any node has pods.
pub(super) const HOSTS_MAX: usize = 4096;

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_VIA: u16 = 18;

/// A host route to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Host {
    pub(super) address: IpAddr,
    pub(super) device: u32,
}

/// Returns the host route that a message is about, and whether it exists now: a route with a gateway may have replaced it.
pub(super) fn read(route: &MainRoute<'_>, nexthops: &Nexthops) -> Option<(Host, bool)> {
    let is_whole = route.bits == if i32::from(route.family) == libc::AF_INET { 32 } else { 128 };
    if !is_whole {
        return None;
    }
    let address = route.attribute(&[RTA_DST]).and_then(|bytes| ip(route.family, bytes))?;
    let hops = route.nexthop().map(|id| nexthops.hops(id)).unwrap_or_default();
    let object = if let [hop] = hops[..] { Some(hop) } else { None };
    let device = route.attribute(&[RTA_OIF]).and_then(|bytes| word(bytes, 0)).or(object.map(|hop| hop.device))?;
    let has_gateway =
        object.is_some_and(|hop| hop.gateway.is_some()) || route.attribute(&[RTA_GATEWAY, RTA_VIA]).is_some();
    let counts = !has_gateway || route.is_new && route.replaces;
    counts.then_some((Host { address, device }, route.is_new && !has_gateway))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::node::rtnetlink::{
        main_route::tests::{message, part},
        nexthops::tests::hop,
    };

    const NEW: [u16; 2] = [24, 0];
    const REPLACING: [u16; 2] = [24, 0x100];
    const GONE: [u16; 2] = [25, 0];

    fn found(kind: [u16; 2], family: u8, bits: u8, attributes: &[Vec<u8>]) -> Option<(Host, bool)> {
        let mut nexthops = Nexthops::default();
        assert!(
            nexthops.process(&hop(1, 7, None)).is_none() && nexthops.process(&hop(2, 7, Some("10.0.0.1"))).is_none()
        );
        read(&MainRoute::parse(&message(kind, [family, bits, 254, 1], attributes)).unwrap(), &nexthops)
    }

    #[test]
    fn field_s03_routes_to_one_address_by_a_device_are_read() {
        let (to, by) = (part(RTA_DST, &[10, 96, 5, 7]), part(RTA_OIF, &7_u32.to_ne_bytes()));
        let host = Host { address: "10.96.5.7".parse().unwrap(), device: 7 };
        let whole = [to.clone(), by.clone()];
        assert_eq!(found(NEW, 2, 32, &whole), Some((host, true)));
        assert_eq!(found(GONE, 2, 32, &whole), Some((host, false)));
        assert!(found(NEW, 10, 128, &[part(RTA_DST, &[0xfd; 16]), by.clone()]).is_some());
        let by_object = |id: u32| [to.clone(), part(30, &id.to_ne_bytes())];
        assert_eq!(found(NEW, 2, 32, &by_object(1)), Some((host, true)));
        assert_eq!(found(GONE, 2, 32, &by_object(1)), Some((host, false)));
        assert_eq!(found(NEW, 2, 32, &by_object(2)), None, "by a gateway");
        assert_eq!(found(REPLACING, 2, 32, &by_object(2)), Some((host, false)));
        assert_eq!(found(NEW, 2, 32, &by_object(3)), None, "there is no such object");
        assert_eq!(found(NEW, 2, 24, &whole), None);
        assert_eq!(found(NEW, 2, 32, std::slice::from_ref(&to)), None);
        let by_gateway = [to, by, part(RTA_GATEWAY, &[10, 0, 0, 1])];
        assert_eq!(found(NEW, 2, 32, &by_gateway), None);
        assert_eq!(found(REPLACING, 2, 32, &by_gateway), Some((host, false)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = found(NEW, 2, 32, &[bytes]);
        }
    }
}
