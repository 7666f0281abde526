//! Which device a frame leaves by, from its source MAC address: programs set it to that of the device.

use std::collections::{BTreeMap, BTreeSet};

use rtnetlink::packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkMessage},
};

use crate::node::netlink;

/// A MAC address.
type Mac = [u8; 6];

/// The served devices of this network namespace, by their MAC addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MacAddresses(BTreeMap<Mac, BTreeSet<String>>);

impl MacAddresses {
    /// Asks the kernel for the addresses of devices, given by index and name. Devices that are not in this network namespace are
    /// left out.
    pub(super) fn read(devices: &BTreeMap<u32, String>) -> Self {
        Self::of(devices.iter().filter_map(|(index, name)| Some((address(*index, name)?, name.clone()))))
    }

    fn of(devices: impl IntoIterator<Item = (Mac, String)>) -> Self {
        let mut addresses = Self::default();
        for (mac, name) in devices {
            addresses.0.entry(mac).or_default().insert(name);
        }
        addresses
    }

    /// Returns the device by which an Ethernet frame leaves; `None` if its address is that of several devices, as with VLANs, or of
    /// none.
    pub(super) fn device(&self, frame: &[u8]) -> Option<&str> {
        let source: Mac = frame.get(6..12)?.try_into().ok()?;
        let mut names = self.0.get(&source)?.iter();
        names.next().filter(|_| names.next().is_none()).map(String::as_str)
    }
}

/// Returns the MAC address of the device that has this index and this name.
fn address(index: u32, name: &str) -> Option<Mac> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    let answers = netlink::request(RouteNetlinkMessage::GetLink(message), netlink::ACK).ok()?;
    let links = answers.into_iter().filter_map(|answer| match answer {
        RouteNetlinkMessage::NewLink(link) => Some(link.attributes),
        _ => None,
    });
    links.filter(|link| link.contains(&LinkAttribute::IfName(name.to_owned()))).flatten().find_map(|attribute| {
        match attribute {
            LinkAttribute::Address(bytes) => bytes.try_into().ok(),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_known_by_its_address_if_no_other_has_it() {
        let devices = [([2; 6], "eth0"), ([3; 6], "eth1"), ([3; 6], "eth1.100")];
        let addresses = MacAddresses::of(devices.map(|(mac, name)| (mac, name.to_owned())));
        let frame = |source: Mac| [[9; 6], source].concat();
        assert_eq!(addresses.device(&frame([2; 6])), Some("eth0"));
        assert_eq!(addresses.device(&frame([3; 6])), None);
        assert_eq!(addresses.device(&frame([4; 6])), None);
        assert_eq!(addresses.device(&frame([2; 6])[..11]), None);
    }

    #[test]
    fn devices_of_other_namespaces_have_no_address_here() {
        let devices = BTreeMap::from([(1, "no-such".to_owned()), (u32::MAX, "lo".to_owned())]);
        assert_eq!(MacAddresses::read(&devices), MacAddresses::default());
    }
}
