//! Invariant 5 for arbitrary tables: no step of a plan leaves an entry that refers to nothing.

use std::net::SocketAddr;

use proptest::{prelude::*, sample::subsequence};
use proxy_common::{Address, FrontendKind, List, Protocol};

use super::*;
use crate::desired::{Family, OwnerKind, SourceRanges};

const LISTS: [List; 2] = [List::Cluster, List::Local];
const KINDS: [FrontendKind; 3] = [FrontendKind::ClusterIp, FrontendKind::NodePort, FrontendKind::ExternalIp];

fn name(number: usize) -> ServiceName {
    ServiceName::new("default", ["a", "b", "c"][number])
}

fn port_key(number: usize) -> PortKey {
    let (protocol, family) =
        [(Protocol::Tcp, Family::Ipv4), (Protocol::Udp, Family::Ipv4), (Protocol::Tcp, Family::Ipv6)][number];
    PortKey { name: "http".into(), protocol, family }
}

fn owned(last: u8) -> IpAddr {
    [10, 96, 0, last].into()
}

fn any_port() -> impl Strategy<Value = PortEntry> {
    let list = prop::collection::btree_set((0..4_u8).prop_map(|last| SocketAddr::from(([10, 0, 0, last], 80))), 0..3);
    let lists = prop::collection::btree_map(
        prop::sample::select(&LISTS[..]),
        list.prop_map(|list| list.into_iter().collect::<Vec<_>>()),
        1..3,
    );
    let sources = (0..3_usize, any::<bool>(), any::<bool>()).prop_map(|(count, node, pods)| {
        let nets: Vec<IpNet> = (0..4_u8).take(count).map(|last| IpNet::from(owned(last))).collect();
        Box::new(SourceRanges { nets: nets.into(), node, pods })
    });
    let values = (0..2_u32, any::<bool>(), any::<bool>(), lists, prop::option::of(sources), any::<bool>());
    values.prop_map(|(affinity_timeout, usable, here, lists, sources, drains)| {
        let local = lists.values().flatten().filter(|address| here && address.ip() == IpAddr::from([10, 0, 0, 1]));
        let local = local.copied().collect::<BTreeSet<_>>().into_iter().collect();
        let draining = lists.keys().map(|list| (*list, vec![SocketAddr::from(([10, 0, 1, 1], 80))]));
        let draining = draining.filter(|_| drains).collect();
        PortEntry { affinity_timeout, usable, lists, draining, local, sources }
    })
}

prop_compose! {
    /// Each frontend belongs to one Service. Addresses may have several owners.
    fn any_table()(
        ports in prop::collection::btree_map((0..3_usize, 0..3_usize), any_port(), 0..9),
        frontends in prop::collection::btree_map(0..6_u16, (any::<prop::sample::Index>(), 0..3_usize, 0..4_usize), 0..6),
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
            let (service, port) = port.get(&ports.keys().collect::<Vec<_>>()).to_owned().to_owned();
            let (internal, external) = (LISTS[lists % 2], LISTS[lists / 2]);
            let entry = FrontendEntry { port: port_key(port), kind: KINDS[kind], internal, external };
            let frontend = Frontend::new(Address::ANY_IPV4, 30000 + number, 6);
            service_of(&mut table, &name(service)).frontends.insert(frontend, entry);
        }
        for ((last, service), (external, usable)) in addresses {
            let kind = if external { OwnerKind::External } else { OwnerKind::ClusterIp };
            service_of(&mut table, &name(service)).owned.insert(owned(last), Owner { kind, usable });
        }
        table
    }
}

/// The data plane as the maps hold it, not divided into Services.
#[derive(Debug, Default, PartialEq)]
struct Maps {
    ports: BTreeMap<PortId, PortEntry>,
    frontends: BTreeMap<Frontend, (ServiceName, FrontendEntry)>,
    owned: BTreeMap<(IpAddr, ServiceName), Owner>,
    networks: BTreeMap<IpNet, NetworkKind>,
}

impl Maps {
    fn of(table: &Table) -> Self {
        let mut maps = Self { networks: table.networks.clone(), ..Self::default() };
        for (name, service) in &table.services {
            let id = |port: &PortKey| PortId { service: name.clone(), port: port.clone() };
            maps.ports.extend(service.ports.iter().map(|(port, entry)| (id(port), entry.clone())));
            for (frontend, entry) in &service.frontends {
                assert!(maps.frontends.insert(*frontend, (name.clone(), entry.clone())).is_none());
            }
            maps.owned.extend(service.owned.iter().map(|(address, owner)| ((*address, name.clone()), *owner)));
        }
        maps
    }

    /// Asserts that every frontend's port exists.
    fn check(&self) {
        for (service, entry) in self.frontends.values() {
            let id = PortId { service: service.clone(), port: entry.port.clone() };
            assert!(self.ports.contains_key(&id), "{id:?} is gone before its frontends");
        }
    }

    /// Writes the plan's fields one after another.
    fn write(&mut self, plan: &Plan) {
        for (id, entry) in plan.put_ports.clone() {
            self.ports.insert(id, entry);
        }
        for (frontend, name, entry) in plan.put_frontends.clone() {
            self.frontends.insert(frontend, (name, entry));
            self.check();
        }
        self.owned.extend(plan.put_owned.iter().map(|(address, name, owner)| ((*address, name.clone()), *owner)));
        self.networks.extend(plan.put_networks.iter().copied());
        for net in &plan.remove_networks {
            assert!(self.networks.remove(net).is_some());
        }
        for disowned in &plan.remove_owned {
            assert!(self.owned.remove(disowned).is_some());
        }
        for frontend in &plan.remove_frontends {
            assert!(self.frontends.remove(frontend).is_some());
        }
        for id in &plan.remove_ports {
            assert!(self.ports.remove(id).is_some());
            self.check();
        }
    }
}

proptest! {
    #[test]
    fn invariant_5_a_plan_applied_to_its_origin_gives_its_goal(from in any_table(), to in any_table()) {
        let mut table = from.clone();
        plan(&from, &to).apply_to(&mut table);
        prop_assert_eq!(table, to);
    }

    #[test]
    fn invariant_5_a_plan_to_where_one_is_is_empty(table in any_table()) {
        prop_assert!(plan(&table, &table).is_empty());
    }

    #[test]
    fn invariant_5_the_written_steps_alone_give_the_goal(from in any_table(), to in any_table()) {
        let mut maps = Maps::of(&from);
        maps.write(&plan(&from, &to));
        prop_assert_eq!(maps, Maps::of(&to));
    }

    #[test]
    fn a_plan_for_a_part_leaves_the_rest_alone(
        from in any_table(),
        to in any_table(),
        kept in subsequence(vec![0, 1, 2], 0..=3),
    ) {
        let touched: BTreeSet<ServiceName> = (0..3).filter(|number| !kept.contains(number)).map(name).collect();
        let part = |table: &Table| {
            let mut part = table.clone();
            part.services.retain(|name, _| touched.contains(name));
            part.networks.clear();
            part
        };
        let mut table = from.clone();
        plan(&part(&from), &part(&to)).apply_to(&mut table);
        for (services, expected) in [(true, &to), (false, &from)] {
            let side = |table: &Table| {
                let mut side = table.clone();
                side.services.retain(|name, _| touched.contains(name) == services);
                side.services
            };
            prop_assert_eq!(side(&table), side(expected));
        }
        prop_assert_eq!(table.networks, from.networks);
    }
}

#[test]
fn a_frontend_that_changes_hands_is_put_and_never_removed() {
    let with = |holder: usize| {
        let mut table = Table::default();
        let service = service_of(&mut table, &name(holder));
        service.ports.insert(port_key(0), PortEntry::default());
        let (port, kind) = (port_key(0), FrontendKind::ClusterIp);
        let entry = FrontendEntry { port, kind, internal: List::Cluster, external: List::Cluster };
        service.frontends.insert(Frontend::new(owned(1).into(), 80, 6), entry);
        service.owned.insert(owned(1), Owner { kind: OwnerKind::ClusterIp, usable: false });
        table
    };
    let plan = plan(&with(0), &with(1));
    assert_eq!(plan.put_frontends.len(), 1);
    assert_eq!((plan.remove_frontends.len(), plan.put_owned.len(), plan.remove_owned.len()), (0, 1, 1));
    assert_eq!((plan.put_ports.len(), plan.remove_ports.len()), (1, 1));
}
