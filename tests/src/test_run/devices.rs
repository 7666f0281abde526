//! The bench node's network: a namespace with veth devices, and the addresses, neighbours and routes of `places`.

use super::places::{Device, JUMBO_MTU, Member, NARROW_MTU, NEIGHBOURS, NODE_OTHER, ROUTER};
use crate::{
    lab::{Netns, Result},
    packet::{Mac, Place},
    scene::Family,
};

/// Makes everything in an empty namespace.
pub(super) fn create(netns: &Netns, member: Member) -> Result<()> {
    let mut commands = Vec::new();
    for device in Device::ALL {
        let (name, mac) = (device.name(), written(member.mac(device)));
        let mtu = match device {
            Device::Narrow => format!("mtu {NARROW_MTU}"),
            Device::Second => format!("mtu {JUMBO_MTU}"),
            Device::Uplink | Device::Pod => String::new(),
        };
        commands.extend([
            format!("link add name {name} address {mac} {mtu} type veth peer name peer-{name}"),
            format!("link set {name} addrgenmode none"),
            format!("link set peer-{name} addrgenmode none up"),
            format!("link set {name} up"),
        ]);
    }
    for family in Family::BOTH {
        commands.extend(addresses(family, member));
        commands.extend(neighbours(family, member));
        commands.extend(routes(family, member));
    }
    netns.batch(&commands)
}

fn addresses(family: Family, member: Member) -> Vec<String> {
    let (length, more) = if family == Family::Ipv4 { (24, "") } else { (64, "nodad") };
    let second = if family == Family::Ipv4 { ["10.1.0.1", "10.2.0.1"] } else { ["fd00:1::1", "fd00:2::1"] };
    vec![
        format!("address add {}/{length} dev eth0 {more}", member.node().address(family)),
        // The second node has this address, too: nothing resolves it.
        format!("address add {}/{length} dev eth0 {more}", NODE_OTHER.address(family)),
        format!("address add {}/{length} dev eth1 {more}", second[0]),
        format!("address add {}/{length} dev eth2 {more}", second[1]),
    ]
}

fn neighbours(family: Family, member: Member) -> Vec<String> {
    let other = member.other();
    let peer = (Device::Uplink, other.node(), other.mac(Device::Uplink));
    let neighbour = |(device, place, mac): (Device, Place, Mac)| {
        let (address, mac, device) = (place.address(family), written(mac), device.name());
        format!("neighbor add {address} lladdr {mac} dev {device} nud permanent")
    };
    NEIGHBOURS.into_iter().chain([peer]).map(neighbour).collect()
}

fn routes(family: Family, member: Member) -> Vec<String> {
    let lost = if family == Family::Ipv4 { "10.99.0.0/16" } else { "fd00:99::/64" };
    let other = member.other();
    vec![
        format!("route add default via {} dev eth0", ROUTER.address(family)),
        format!("route add {} dev pod0", member.pods(family)),
        format!("route add {} via {} dev eth0", other.pods(family), other.node().address(family)),
        format!("route add blackhole {lost}"),
    ]
}

fn written([a, b, c, d, e, f]: Mac) -> String {
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}
