//! What maps hold, by Kubernetes names, and what they should hold according to a table.

use std::collections::{BTreeMap, BTreeSet};

use proxy_common::{
    Backend, Network, Service, SlotRange,
    decide::{lookup_service, select_backend, select_list},
    filter::{AddressClass, PortClass, filter_index},
};

use super::*;
use crate::{
    apply::members::memberships,
    desired::{BackendList, FrontendEntry, NetworkKind, Owner, OwnerKind, PortEntry},
    maps::{
        encode,
        store::{Elements as _, Entries as _},
    },
};

/// A frontend, as it is served.
#[derive(Clone, Debug, PartialEq)]
struct Served {
    port: PortId,
    /// The value without id and slots, which the writer chooses.
    value: Service,
    internal: BackendList,
    external: BackendList,
}

impl Served {
    fn of_table(service: &ServiceName, entry: &PortEntry, frontend: &FrontendEntry) -> Self {
        Self {
            port: PortId { service: service.clone(), port: frontend.port.clone() },
            value: encode::service(0, entry, frontend, |_| SlotRange::default()),
            internal: entry.lists[&frontend.internal].clone(),
            external: entry.lists[&frontend.external].clone(),
        }
    }

    /// Reads what a value in SERVICES refers to. Panics if a reference leads nowhere.
    fn of_maps(maps: &Maps<Memory>, value: Service) -> Self {
        let name = maps.service_names.get(&value.id).expect("the id of a frontend has a name");
        let list = |range: SlotRange| {
            let slots = (range.offset..range.offset + range.length).map(|slot| maps.slots.get(slot).expect("a slot"));
            slots.map(|id| encode::backend_address(&backend(maps, id))).collect()
        };
        Self {
            port: encode::port_id(&name).expect("a name of a service port"),
            value: without_slots(value),
            internal: list(value.internal),
            external: list(value.external),
        }
    }
}

fn backend(maps: &Maps<Memory>, id: u32) -> Backend {
    maps.backends.get(id).filter(Backend::is_valid).unwrap_or_else(|| panic!("backend {id} is referred to"))
}

fn without_slots(value: Service) -> Service {
    Service { id: 0, internal: SlotRange::default(), external: SlotRange::default(), ..value }
}

fn is_mark(frontend: &Frontend) -> bool {
    *frontend == Frontend::owner(frontend.address)
}

/// The contents of all maps.
#[derive(Debug, PartialEq)]
pub(super) struct Contents {
    frontends: BTreeMap<Frontend, Served>,
    marks: BTreeMap<Frontend, Service>,
    ports: Vec<PortId>,
    members: BTreeMap<(PortId, SocketAddr), u32>,
    networks: BTreeMap<IpNet, Network>,
    sources: BTreeSet<(PortId, IpNet)>,
    /// Flags by backend.
    backends: BTreeMap<SocketAddr, u16>,
    /// Elements of ADDRESS_FILTER with a counted bit.
    addresses: BTreeMap<usize, u8>,
    /// Elements of PORT_FILTER with a counted bit.
    node_ports: BTreeMap<usize, u8>,
}

impl Contents {
    pub(super) fn of_maps(maps: &Maps<Memory>) -> Self {
        let port = |id: u32| encode::port_id(&maps.service_names.get(&id).expect("a service id has a name"));
        let port = |id| port(id).expect("a name of a service port");
        let (marks, frontends): (Vec<_>, Vec<_>) = maps.services.entries().partition(|(key, _)| is_mark(key));
        let members = maps.members.entries().map(|(member, lists)| {
            ((port(member.service), encode::backend_address(&backend(maps, member.backend))), lists)
        });
        let sources = maps.source_ranges.keys().map(|key| {
            let (service, net) = encode::source_range(&key).expect("a source range");
            (port(service), net)
        });
        let networks = maps.networks.entries();
        let mut ports: Vec<PortId> = maps.service_names.keys().map(port).collect();
        ports.sort();
        let backends = maps.backends.elements();
        let bits = |array: &[u8], mask: u8| {
            let set = array.iter().enumerate().filter(|(_, bits)| *bits & mask != 0);
            set.map(|(index, bits)| (index, bits & mask)).collect()
        };
        Self {
            frontends: frontends.into_iter().map(|(key, value)| (key, Served::of_maps(maps, value))).collect(),
            marks: marks.into_iter().collect(),
            ports,
            members: members.collect(),
            networks: networks.map(|(key, value)| (encode::network(&key).expect("a prefix"), value)).collect(),
            sources: sources.collect(),
            backends: backends
                .iter()
                .filter(|backend| backend.is_valid())
                .map(|backend| (encode::backend_address(backend), backend.flags))
                .collect(),
            addresses: bits(&maps.filters.addresses.elements(), !AddressClass::RULES),
            node_ports: bits(&maps.filters.ports.elements(), PortClass::NODE_PORT | PortClass::SERVICE),
        }
    }

    /// Returns the numbers of members and of source ranges.
    pub(super) fn extra_entries(&self) -> (usize, usize) {
        (self.members.len(), self.sources.len())
    }

    /// Returns what the maps should hold for `table`. Draining backends are in the maps only if flows may know them: those that
    /// `found` has.
    pub(super) fn of_table(table: &Table, found: &Self) -> Self {
        let mut contents = Self {
            frontends: BTreeMap::new(),
            marks: marks(table),
            ports: Vec::new(),
            members: BTreeMap::new(),
            networks: table.networks.iter().map(|(net, kind)| (*net, encode::network_value(*kind))).collect(),
            sources: BTreeSet::new(),
            backends: BTreeMap::new(),
            addresses: BTreeMap::new(),
            node_ports: BTreeMap::new(),
        };
        for (name, service) in &table.services {
            for (key, entry) in &service.ports {
                contents.add_port(PortId { service: name.clone(), port: key.clone() }, entry, found);
            }
            for (key, entry) in &service.frontends {
                let served = Served::of_table(name, service.ports.get(&entry.port).expect("a port"), entry);
                contents.frontends.insert(*key, served);
            }
        }
        contents.add_filters(table);
        contents
    }

    fn add_port(&mut self, id: PortId, entry: &PortEntry, found: &Self) {
        for address in entry.lists.values().flatten() {
            let local = if entry.local.contains(&address) { Backend::LOCAL } else { 0 };
            *self.backends.entry(address).or_insert(Backend::VALID) |= local;
        }
        for address in entry.draining.values().flatten().filter(|address| found.backends.contains_key(address)) {
            self.backends.entry(address).or_insert(Backend::VALID);
        }
        let listed: BTreeSet<SocketAddr> = entry.lists.values().flatten().collect();
        for (address, lists) in memberships(&id, entry) {
            let key = (id.clone(), address);
            if listed.contains(&address) || found.members.contains_key(&key) {
                self.members.insert(key, lists);
            }
        }
        let nets = entry.sources.iter().flat_map(|sources| sources.nets.iter());
        self.sources.extend(nets.map(|net| (id.clone(), *net)));
        self.ports.push(id);
    }

    fn add_filters(&mut self, table: &Table) {
        let mut put = |address: IpAddr, bit| *self.addresses.entry(filter_index(&address.into())).or_default() |= bit;
        for (network, kind) in &table.networks {
            match kind {
                NetworkKind::ServiceCidr => put(network.addr(), AddressClass::SERVICE),
                NetworkKind::Node => put(network.addr(), AddressClass::NODE),
                NetworkKind::Direct | NetworkKind::Loopback => {}
            }
        }
        for (address, flags) in &self.backends {
            put(address.ip(), AddressClass::ANY_BACKEND);
            if flags & Backend::LOCAL != 0 {
                put(address.ip(), AddressClass::LOCAL_BACKEND);
            }
        }
        for key in self.frontends.keys().chain(self.marks.keys()) {
            if key.address == key.address.any() {
                *self.node_ports.entry(key.port.into()).or_default() |= PortClass::of_protocol(key.protocol);
            } else {
                put(key.address.into(), AddressClass::SERVICE);
                *self.node_ports.entry(key.port.into()).or_default() |= PortClass::SERVICE;
            }
        }
    }
}

/// Returns the marks of owned addresses: one per address, merged from its owners.
fn marks(table: &Table) -> BTreeMap<Frontend, Service> {
    let mut together: BTreeMap<IpAddr, Owner> = BTreeMap::new();
    for (address, owner) in table.services.values().flat_map(|service| service.owned.iter()) {
        let merged = together.entry(*address).or_insert(Owner { kind: OwnerKind::External, usable: false });
        merged.kind = merged.kind.max(owner.kind);
        merged.usable |= owner.usable;
    }
    let mark = |(address, owner): (IpAddr, Owner)| (Frontend::owner(address.into()), encode::owner(owner));
    together.into_iter().map(mark).collect()
}

/// The guarantees for programs while one table replaces another.
#[derive(Default)]
pub(super) struct Promise {
    /// Frontends that both tables have: each is present all the time, and is served in one of these ways.
    kept: BTreeMap<Frontend, Vec<Served>>,
}

impl Promise {
    /// Returns the promise for a change of tables: either table's frontend, with the lists of either table's port.
    pub(super) fn between(from: &Table, to: &Table) -> Self {
        let mut kept: BTreeMap<Frontend, (usize, Vec<Served>)> = BTreeMap::new();
        for table in [from, to] {
            for (name, service) in &table.services {
                for (key, frontend) in &service.frontends {
                    let (tables, ways) = kept.entry(*key).or_default();
                    *tables += 1;
                    let ports = [from, to].into_iter().filter_map(|table| table.services.get(name));
                    let entries = ports.filter_map(|service| service.ports.get(&frontend.port));
                    let has = |entry: &&PortEntry| {
                        [frontend.internal, frontend.external].iter().all(|list| entry.lists.contains_key(list))
                    };
                    ways.extend(entries.filter(has).map(|entry| Served::of_table(name, entry, frontend)));
                }
            }
        }
        let kept = kept.into_iter().filter(|(_, (tables, _))| *tables == 2).map(|(key, (_, ways))| (key, ways));
        Self { kept: kept.collect() }
    }

    /// Checks that what a program finds at this moment is right.
    pub(super) fn check(&self, maps: &Maps<Memory>) {
        for (key, ways) in &self.kept {
            let value = maps.services.get(key).unwrap_or_else(|| panic!("{key:?} is gone"));
            let served = Served::of_maps(maps, value);
            assert!(ways.contains(&served), "{key:?} is served as {served:?}, not as any of {ways:?}");
            check_members(maps, value, &served);
            check_decision(maps, key, &served);
        }
        for (key, value) in maps.services.entries() {
            check_filters(maps, &key);
            if !is_mark(&key) {
                Served::of_maps(maps, value);
            }
        }
    }
}

/// Checks that packets to the frontend get past the filters.
fn check_filters(maps: &Maps<Memory>, key: &Frontend) {
    let (addresses, ports) = (maps.filters.addresses.elements(), maps.filters.ports.elements());
    let port = ports[usize::from(key.port)];
    if key.address == key.address.any() {
        assert_ne!(port & PortClass::of_protocol(key.protocol), 0, "PORT_FILTER rules {key:?} out");
    } else {
        let class = addresses[filter_index(&key.address)];
        assert!(class & AddressClass::SERVICE != 0 && port & PortClass::SERVICE != 0, "a filter rules {key:?} out");
    }
}

/// Checks that the programs' decision leads to the backends of the frontend.
fn check_decision(maps: &Maps<Memory>, key: &Frontend, served: &Served) {
    // Node ports have no address of their own to dial.
    if key.address == key.address.any() {
        return;
    }
    let service = lookup_service(maps, key, AddressClass::SERVICE, || false).expect("the frontend is found");
    for (internal, backends) in [(true, &served.internal), (false, &served.external)] {
        let selected = select_list(&service, internal).and_then(|(range, _)| select_backend(maps, range, u32::MAX));
        let address = selected.map(|selected| encode::backend_address(&selected.backend));
        assert_eq!(address.ok(), backends.iter().last(), "{key:?} as {served:?}");
    }
}

/// Checks that what remembers a backend of the frontend's lists may keep it.
fn check_members(maps: &Maps<Memory>, value: Service, served: &Served) {
    if served.port.port.protocol != proxy_common::Protocol::Udp && value.affinity_timeout == 0 {
        return;
    }
    for (range, list) in [(value.internal, value.internal_list()), (value.external, value.external_list())] {
        for slot in range.offset..range.offset + range.length {
            let backend = maps.slots.get(slot).expect("a slot");
            let lists = maps.members.get(&proxy_common::Member { service: value.id, backend }).unwrap_or(0);
            assert_ne!(lists & list.bit(), 0, "{served:?} has a backend that is no member");
        }
    }
}
