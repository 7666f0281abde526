//! The maps that the agent writes for packets: filters, this node's own addresses, and which backends are on this node.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use harness::scene::{Scene, Setup, dual, slices, until};
use proxy_common::{
    Address,
    filter::{AddressClass, PortClass, filter_index},
};

/// The entries of a filter that are not zero.
fn filter(scene: &Scene, map: &str) -> BTreeMap<usize, u8> {
    let number = |value: &serde_json::Value| value.as_u64().unwrap();
    let entries = scene.dump(map).into_iter().map(|entry| {
        let entry = &entry["formatted"];
        (usize::try_from(number(&entry["key"])).unwrap(), u8::try_from(number(&entry["value"])).unwrap())
    });
    entries.filter(|(_, bits)| *bits != 0).collect()
}

fn index(address: IpAddr) -> usize {
    filter_index(&Address::from(address))
}

/// The filter with exactly these bits.
fn made_of(reasons: &[(IpAddr, u8)]) -> BTreeMap<usize, u8> {
    let mut filter = BTreeMap::new();
    for (address, bit) in reasons {
        *filter.entry(index(*address)).or_default() |= bit;
    }
    filter
}

#[test]
fn s31_filters_hold_what_is_served_and_survive_a_restart() {
    let scene = Setup::new("filters").build();
    let [here] = scene.add_pods(["p1"]);
    let service = dual("web", 10).named_port("tcp", "TCP", 80, 8080).node_port(30080).kind("LoadBalancer");
    scene.put(&service.load_balancer_ip("203.0.113.1").build());
    scene.endpoints("web", |slice| slice.named_port("tcp", "TCP", 8080), &[]);
    let mut waggle = scene.agent(&[]);
    let [node_v4, node_v6] = [IpAddr::from(scene.node.v4()), scene.node.v6().into()];
    let [balanced, cluster_v4, cluster_v6] =
        ["203.0.113.1", "10.96.0.1", "fd00:96::1"].map(|text| text.parse().unwrap());
    let (class, node) = (AddressClass::SERVICE, AddressClass::NODE);
    let mut reasons =
        vec![(node_v4, node), (node_v6, node), (balanced, class), (cluster_v4, class), (cluster_v6, class)];
    until("addresses without backends", || filter(&scene, "address_filter") == made_of(&reasons));

    let port = |slice: harness::objects::SliceBuilder| slice.named_port("tcp", "TCP", 8080);
    for slice in slices("web", port, &[&here]) {
        scene.put(&slice.node("a").build());
    }
    let backend = AddressClass::LOCAL_BACKEND | AddressClass::ANY_BACKEND;
    reasons.extend([(IpAddr::from(here.v4()), backend), (here.v6().into(), backend)]);
    until("the backend's addresses", || filter(&scene, "address_filter") == made_of(&reasons));
    let local = |row: &serde_json::Value| row["local"] == true;
    until("local backends", || scene.get("backends").as_array().unwrap().iter().all(local));

    let ports = filter(&scene, "port_filter");
    assert_eq!(ports.get(&30080), Some(&PortClass::TCP));
    assert_eq!((ports.get(&30081), ports.get(&80)), (Some(&PortClass::SNAT), Some(&PortClass::SERVICE)));
    // A new network namespace has the kernel's own range of ephemeral ports.
    assert_eq!((ports.get(&40000), ports.get(&61000)), (None, Some(&PortClass::SNAT)));
    let own = |address: IpAddr| Address::from(address).bytes.map(|byte| format!("0x{byte:02x}")).to_vec();
    let entries: Vec<Vec<String>> = scene
        .dump("node_addresses")
        .into_iter()
        .take(2)
        .map(|entry| serde_json::from_value(entry["value"].clone()).unwrap())
        .collect();
    assert_eq!(entries, [own(node_v4), own(node_v6)]);

    let before = (filter(&scene, "address_filter"), ports);
    waggle.kill().unwrap();
    waggle.restart().unwrap();
    assert_eq!((filter(&scene, "address_filter"), filter(&scene, "port_filter")), before);
    assert!(!before.0.contains_key(&index(Ipv4Addr::new(198, 51, 100, 1).into())));
}
