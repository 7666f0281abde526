//! The maps of an instance, read-only, for `proxy_common::decide` and the other steps of an explanation. Elements are read one by
//! one, from the maps that the programs use at this moment.

use aya::maps::{Array, HashMap, LpmTrie, MapData, MapError, lpm_trie::Key};
use ipnet::IpNet;
use proxy_common::{
    Address, Affinity, AffinityKey, Backend, ConntrackEntry, Device, Frontend, Member, Network, Service, SourceRange,
    Tuple,
    decide::Maps,
    filter::{PortClass, filter_index},
    node::{NODE_IPV4, NODE_IPV6},
};

use crate::{
    commands::get::InspectError,
    maps::{
        PinFolder, encode,
        flow_table::{FlowMapNames, FlowTable},
        open_read_only,
    },
};

/// Handles to pinned maps. Each field is the map of that name.
pub struct Pinned {
    services: HashMap<MapData, Frontend, Service>,
    slots: Array<MapData, u32>,
    backends: Array<MapData, Backend>,
    generations: Array<MapData, u32>,
    members: HashMap<MapData, Member, u32>,
    networks: LpmTrie<MapData, Address, Network>,
    source_ranges: LpmTrie<MapData, SourceRange, u32>,
    address_filter: Array<MapData, u8>,
    port_filter: Array<MapData, u8>,
    affinity: HashMap<MapData, AffinityKey, Affinity>,
    node_addresses: Array<MapData, Address>,
    devices: HashMap<MapData, u32, Device>,
    assured: FlowTable,
    embryonic: FlowTable,
}

impl Pinned {
    /// Opens the maps.
    pub fn open(folder: &PinFolder) -> Result<Self, InspectError> {
        Ok(Self {
            services: open_read_only(folder, "SERVICES")?,
            slots: open_read_only(folder, "SLOTS")?,
            backends: open_read_only(folder, "BACKENDS")?,
            generations: open_read_only(folder, "GENERATIONS")?,
            members: open_read_only(folder, "MEMBERS")?,
            networks: open_read_only(folder, "NETWORKS")?,
            source_ranges: open_read_only(folder, "SOURCE_RANGES")?,
            address_filter: open_read_only(folder, "ADDRESS_FILTER")?,
            port_filter: open_read_only(folder, "PORT_FILTER")?,
            affinity: open_read_only(folder, "AFFINITY")?,
            node_addresses: open_read_only(folder, "NODE_ADDRESSES")?,
            devices: open_read_only(folder, "DEVICES")?,
            assured: FlowTable::open_read_only(folder, FlowMapNames::ASSURED)?,
            embryonic: FlowTable::open_read_only(folder, FlowMapNames::EMBRYONIC)?,
        })
    }

    /// The bits of an address in ADDRESS_FILTER.
    pub fn address_class(&self, address: &Address) -> u8 {
        u32::try_from(filter_index(address)).ok().and_then(|index| self.address_filter.get(&index, 0).ok()).unwrap_or(0)
    }

    /// The bits of a port of this node in PORT_FILTER: a sum of [`PortClass`].
    pub fn port_class(&self, port: u16) -> u8 {
        self.port_filter.get(&port.into(), 0).unwrap_or(0)
    }

    /// Whether a port of this node may be a node port.
    pub fn is_node_port(&self, port: u16) -> bool {
        self.port_class(port) & PortClass::NODE_PORT != 0
    }

    /// The flags of a device, which the agent serves; 0 for others.
    pub fn device_flags(&self, index: u32) -> u32 {
        self.devices.get(&index, 0).map_or(0, |device| device.flags)
    }

    /// The source address of what is forwarded to a backend, if this node has one.
    pub fn source_for(&self, backend: &Backend) -> Option<Address> {
        let own = if backend.address.is_ipv4() { NODE_IPV4 } else { NODE_IPV6 };
        let index = if backend.source() == 0 { own } else { backend.source().into() };
        self.node_addresses.get(&index, 0).ok().filter(|address| *address != Address::ANY_IPV6)
    }

    /// The memory of a client, whether it is still valid or not.
    pub fn affinity(&self, key: &AffinityKey) -> Option<Affinity> {
        self.affinity.get(key, 0).ok()
    }

    /// The service's generation.
    pub fn generation(&self, service: u32) -> u32 {
        self.generations.get(&service, 0).unwrap_or(0)
    }

    /// The lists that a backend of a service is in, as bits of a value of MEMBERS.
    pub fn membership(&self, service: u32, backend: u32) -> u32 {
        self.members.get(&Member { service, backend }, 0).unwrap_or(0)
    }

    /// The entry of a flow that has not expired at `now` (jiffies), by the tuple of the packets that it translates.
    pub fn flow(&self, tuple: &Tuple, now: u32) -> Result<Option<ConntrackEntry>, InspectError> {
        for (name, table) in [("FLOW_BUCKETS", &self.assured), ("EMBRYONIC", &self.embryonic)] {
            let found = table.find(tuple, now).map_err(|source| InspectError::Read { name, source })?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The longest prefix in NETWORKS that contains an address.
    pub fn prefix(&self, address: &Address) -> Result<Option<IpNet>, InspectError> {
        let failed = |source: MapError| InspectError::Read { name: "NETWORKS", source };
        let mut found: Option<IpNet> = None;
        for key in self.networks.keys() {
            let prefix = encode::network(&key.map_err(failed)?);
            let is_longer = |prefix: &IpNet| found.is_none_or(|found| found.prefix_len() < prefix.prefix_len());
            if let Some(prefix) =
                prefix.filter(|prefix| prefix.contains(&std::net::IpAddr::from(*address)) && is_longer(prefix))
            {
                found = Some(prefix);
            }
        }
        Ok(found)
    }
}

impl Maps for Pinned {
    fn service(&self, frontend: &Frontend) -> Option<Service> {
        self.services.get(frontend, 0).ok()
    }

    fn network(&self, address: &Address) -> Option<Network> {
        self.networks.get(&Key::new(128, *address), 0).ok()
    }

    fn is_admitted(&self, service: u32, client: &Address) -> bool {
        self.source_ranges.get(&Key::new(160, SourceRange::new(service, *client)), 0).is_ok()
    }

    fn slot(&self, slot: u32) -> Option<u32> {
        self.slots.get(&slot, 0).ok()
    }

    fn backend(&self, id: u32) -> Option<Backend> {
        self.backends.get(&id, 0).ok()
    }
}
