//! Arbitrary tables for property tests, made of few Services, addresses and ports so that two tables have much in common.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use ipnet::IpNet;
use proptest::prelude::*;
use proxy_common::{Address, Frontend, FrontendKind, List, Protocol};

use super::{
    BackendList, Family, FrontendEntry, NetworkKind, Owner, OwnerKind, PortEntry, PortKey, ServiceName, ServiceTable,
    SourceRanges, Table, sorted::SortedMap,
};

const LISTS: [List; 2] = [List::Cluster, List::Local];
const KINDS: [FrontendKind; 4] =
    [FrontendKind::ClusterIp, FrontendKind::NodePort, FrontendKind::ExternalIp, FrontendKind::LoadBalancer];

pub(crate) fn name(number: usize) -> ServiceName {
    ServiceName::new("default", ["a", "b", "c"][number])
}

pub(crate) fn port_key(number: usize) -> PortKey {
    let (protocol, family) =
        [(Protocol::Tcp, Family::Ipv4), (Protocol::Udp, Family::Ipv4), (Protocol::Tcp, Family::Ipv6)][number];
    PortKey { name: "http".into(), protocol, family }
}

pub(crate) fn owned(last: u8) -> IpAddr {
    [10, 96, 0, last].into()
}

/// Returns the backend at 10.0.0.`last`, port 80.
fn backend(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 80))
}

/// The backends of a list, and those that drain from it.
fn any_list() -> impl Strategy<Value = (BackendList, BackendList)> {
    let chosen = prop::collection::btree_map(0..5_u8, prop::bool::weighted(0.3), 0..4);
    chosen.prop_map(|chosen| {
        let (draining, listed): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|(_, drains)| *drains);
        let addresses = |chosen: Vec<(u8, bool)>| chosen.into_iter().map(|(last, _)| backend(last)).collect();
        (addresses(listed), addresses(draining))
    })
}

fn any_port() -> impl Strategy<Value = PortEntry> {
    let lists = prop::collection::btree_map(prop::sample::select(&LISTS[..]), any_list(), 1..3);
    let sources = (0..3_usize, any::<bool>(), any::<bool>()).prop_map(|(count, node, pods)| {
        let nets: Vec<IpNet> = (0..4_u8).take(count).map(|last| IpNet::from(owned(last))).collect();
        Box::new(SourceRanges { nets: nets.into(), node, pods })
    });
    let values = (0..2_u32, any::<bool>(), any::<bool>(), lists, prop::option::of(sources));
    values.prop_map(|(affinity_timeout, usable, here, both, sources)| {
        let lists: SortedMap<_, _> = both.iter().map(|(list, (listed, _))| (*list, listed.clone())).collect();
        let draining = both.into_iter().map(|(list, (_, draining))| (list, draining)).collect();
        let local = lists.values().flatten().filter(|address| here && *address == backend(1));
        let local = local.collect::<BTreeSet<_>>().into_iter().collect();
        PortEntry { affinity_timeout, usable, lists, draining, local, sources }
    })
}

/// Returns the frontend with a number. Even ones are node ports.
fn frontend(number: u16) -> Frontend {
    let address = if number.is_multiple_of(2) { Address::ANY_IPV4 } else { Address::from(owned(100)) };
    Frontend::new(address, 30000 + number, 6)
}

prop_compose! {
    /// An arbitrary table. Each frontend belongs to one Service; an address may have several owners.
    pub(crate) fn any_table()(
        ports in prop::collection::btree_map((0..3_usize, 0..3_usize), any_port(), 0..9),
        frontends in prop::collection::btree_map(0..6_u16, (any::<prop::sample::Index>(), 0..4_usize, 0..4_usize), 0..6),
        addresses in prop::collection::btree_map((0..4_u8, 0..3_usize), (any::<bool>(), any::<bool>()), 0..6),
        networks in prop::collection::btree_map(
            (0..4_u8).prop_map(|last| IpNet::from(owned(last))),
            prop::sample::select(&[NetworkKind::ServiceCidr, NetworkKind::Direct, NetworkKind::Node][..]),
            0..4,
        ),
    ) -> Table {
        let mut table = Table { networks, ..Table::default() };
        for ((service, port), entry) in &ports {
            service_of(&mut table, &name(*service)).ports.insert(port_key(*port), entry.clone());
        }
        for (number, (port, kind, lists)) in frontends.into_iter().filter(|_| !ports.is_empty()) {
            let ((service, port), entry) = port.get(&ports.iter().collect::<Vec<_>>()).to_owned();
            let has: Vec<List> = entry.lists.keys().copied().collect();
            let (internal, external) = (has[lists % has.len()], has[lists / 2 % has.len()]);
            let entry = FrontendEntry { port: port_key(*port), kind: KINDS[kind], internal, external };
            service_of(&mut table, &name(*service)).frontends.insert(frontend(number), entry);
        }
        for ((last, service), (external, usable)) in addresses {
            let kind = if external { OwnerKind::External } else { OwnerKind::ClusterIp };
            service_of(&mut table, &name(service)).owned.insert(owned(last), Owner { kind, usable });
        }
        table
    }
}

pub(crate) fn service_of<'a>(table: &'a mut Table, name: &ServiceName) -> &'a mut ServiceTable {
    table.services.entry(name.clone()).or_default()
}
