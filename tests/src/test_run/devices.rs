//! The bench node's machine: a namespace with veth devices, addresses, neighbours and routes of the plan in `places`.

use super::places::{Device, NARROW_MTU, NEIGHBOURS, NODE, NODE_OTHER, ROUTER};
use crate::{
    lab::{Netns, Result},
    scene::Family,
};

/// Makes everything in an empty namespace.
pub(super) fn create(netns: &Netns) -> Result<()> {
    let mut commands = Vec::new();
    for device in Device::ALL {
        let (name, [a, b, c, d, e, f]) = (device.name(), device.mac());
        let mtu = if device == Device::Narrow { format!("mtu {NARROW_MTU}") } else { String::new() };
        let mac = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
        commands.extend([
            format!("link add name {name} address {mac} {mtu} type veth peer name peer-{name}"),
            format!("link set {name} addrgenmode none"),
            format!("link set peer-{name} addrgenmode none up"),
            format!("link set {name} up"),
        ]);
    }
    // Only a place to route pods to.
    commands.extend(["link add name pod0 type veth peer name peer-pod0".into(), "link set pod0 up".into()]);
    commands.extend(["link set peer-pod0 up".into()]);
    for family in Family::BOTH {
        commands.extend(addresses(family));
        commands.extend(neighbours(family));
        commands.extend(routes(family));
    }
    netns.batch(&commands)
}

fn addresses(family: Family) -> Vec<String> {
    let (length, more) = if family == Family::Ipv4 { (24, "") } else { (64, "nodad") };
    let second = if family == Family::Ipv4 { ["10.1.0.1", "10.2.0.1"] } else { ["fd00:1::1", "fd00:2::1"] };
    vec![
        format!("address add {}/{length} dev eth0 {more}", NODE.address(family)),
        format!("address add {}/{length} dev eth0 {more}", NODE_OTHER.address(family)),
        format!("address add {}/{length} dev eth1 {more}", second[0]),
        format!("address add {}/{length} dev eth2 {more}", second[1]),
    ]
}

fn neighbours(family: Family) -> Vec<String> {
    NEIGHBOURS
        .iter()
        .map(|(device, place, [a, b, c, d, e, f])| {
            let mac = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
            format!("neighbor add {} lladdr {mac} dev {} nud permanent", place.address(family), device.name())
        })
        .collect()
}

fn routes(family: Family) -> Vec<String> {
    let pods = if family == Family::Ipv4 { "10.244.1.0/24" } else { "fd00:244:1::/64" };
    let lost = if family == Family::Ipv4 { "10.99.0.0/16" } else { "fd00:99::/64" };
    vec![
        format!("route add default via {} dev eth0", ROUTER.address(family)),
        format!("route add {pods} dev pod0"),
        format!("route add blackhole {lost}"),
    ]
}
