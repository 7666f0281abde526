//! Writes NODE_ADDRESSES: what forwarded packets get as their source.

use std::net::IpAddr;

use aya::maps::{Array, MapData};
use proxy_common::{
    Address,
    device::{NODE_IPV4, NODE_IPV6},
};
use tracing::{error, info, warn};

use crate::{
    maps::{MapsError, PinFolder, open},
    model::OwnAddresses,
};

/// The map, and what is in it.
pub struct NodeAddresses {
    map: Array<MapData, Address>,
    written: Option<OwnAddresses>,
}

impl NodeAddresses {
    /// Opens an instance's map.
    pub fn open(folder: &PinFolder) -> Result<Self, MapsError> {
        Ok(Self { map: open(folder, "NODE_ADDRESSES")?, written: None })
    }

    /// Writes them, if they differ from what is there. What fails is reported and tried again by the next call.
    pub fn write(&mut self, addresses: OwnAddresses) {
        if self.written == Some(addresses) {
            return;
        }
        let encode = |address: Option<IpAddr>| address.map(Address::from).unwrap_or_default();
        let ipv4 = self.map.set(NODE_IPV4, encode(addresses.ipv4), 0);
        match ipv4.and_then(|()| self.map.set(NODE_IPV6, encode(addresses.ipv6), 0)) {
            Ok(()) => self.written = Some(addresses),
            Err(error) => return error!(%error, "degraded: packets may be forwarded in the name of an old address"),
        }
        let OwnAddresses { ipv4, ipv6 } = addresses;
        let shown = |address: Option<IpAddr>| address.map_or_else(|| "none".to_owned(), |address| address.to_string());
        if ipv4.is_none() && ipv6.is_none() {
            warn!("this node has no address: nothing can be forwarded to other nodes");
        } else {
            info!(ipv4 = shown(ipv4), ipv6 = shown(ipv6), "addresses of what is forwarded");
        }
    }
}
