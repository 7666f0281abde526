//! Writes prefixes into NETWORKS, and this node's own addresses into NODE_ADDRESSES.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aya::maps::MapError;
use ipnet::IpNet;
use proxy_common::Address;

use super::{ApplyError, Dataplane, refused};
use crate::{
    desired::NetworkKind,
    maps::{
        encode,
        store::{Cells as _, Entries as _, Store},
    },
    node::rtnetlink::Routes,
};

impl<S: Store> Dataplane<S> {
    /// Sets this node's own addresses, one per family: the default sources of what it forwards. An absent one is written as
    /// zeros.
    pub fn set_node_addresses(&mut self, ipv4: Option<Ipv4Addr>, ipv6: Option<Ipv6Addr>) -> Result<(), ApplyError> {
        let wanted = [ipv4.map(IpAddr::V4), ipv6.map(IpAddr::V6)];
        let is_same = self.node_addresses == wanted;
        for (index, wanted) in (0..).zip(wanted) {
            self.set_node_address(index, wanted)
                .map_err(|source| ApplyError::Write { what: "NODE_ADDRESSES", source })?;
        }
        if !is_same {
            // Whether a backend is reached from the node's own address or another one may have changed.
            self.reroute(&Routes::All);
        }
        Ok(())
    }

    fn set_node_address(&mut self, index: u32, wanted: Option<IpAddr>) -> Result<(), MapError> {
        let before = self.node_addresses[index as usize];
        if before == wanted {
            return Ok(());
        }
        if let Some(address) = wanted {
            self.filters.put_node(&mut self.maps.filters, address);
        }
        let write = self.maps.node_addresses.set(index, wanted.map(Address::from).unwrap_or_default());
        if let Some(gone) = if write.is_ok() { before } else { wanted } {
            self.filters.remove_node(gone);
        }
        write.map(|()| self.node_addresses[index as usize] = wanted)
    }

    /// Takes over the addresses that an earlier agent has written. One that can't be read counts as absent.
    pub(super) fn adopt_node_addresses(&mut self) {
        for index in 0..2_u32 {
            let address = self.maps.node_addresses.get(index).filter(|address| *address != Address::default());
            if let Some(address) = address.map(IpAddr::from) {
                self.filters.put_node(&mut self.maps.filters, address);
                self.node_addresses[index as usize] = Some(address);
            }
        }
    }

    pub(super) fn put_network(&mut self, network: IpNet, kind: NetworkKind) -> Result<(), ApplyError> {
        self.filters.put_network(&mut self.maps.filters, network, kind);
        let write = self.maps.networks.put(encode::network_key(network), encode::network_value(kind));
        if let Err(error) = write {
            self.filters.remove_network(network, kind);
            return Err(refused("NETWORKS", "--max-networks", error));
        }
        if let Some(before) = self.table.networks.insert(network, kind) {
            self.filters.remove_network(network, before);
        }
        Ok(())
    }

    pub(super) fn remove_network(&mut self, network: IpNet) {
        self.maps.networks.remove(&encode::network_key(network));
        if let Some(kind) = self.table.networks.remove(&network) {
            self.filters.remove_network(network, kind);
        }
    }
}
