//! The Services of captured packets, from the instance's pinned maps. Each is looked up when its packet comes, so that changes are
//! followed.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use aya::maps::{HashMap, MapData};
use proxy_common::{Frontend, StoredName, decide::lookup_service, filter::AddressClass};

use super::{frame::Frame, packet::Packet};
use crate::{
    commands::{
        explain::Pinned,
        get::{InspectError, Name, services::kind},
    },
    maps::{PinFolder, open_read_only},
};

/// Whose packet it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Served {
    /// Namespace and name.
    pub(super) service: String,
    /// Namespace, name and port.
    pub(super) port: String,
    /// `NodePort` or another type of address.
    pub(super) kind: String,
    pub(super) frontend: SocketAddr,
    /// Whether it is a packet of the backend.
    pub(super) is_reply: bool,
    pub(super) backend: Option<SocketAddr>,
}

/// Handles to the maps.
pub(super) struct Names {
    maps: Pinned,
    names: HashMap<MapData, u32, StoredName>,
}

impl Names {
    /// Opens the maps.
    pub(super) fn open(folder: &PinFolder) -> Result<Self, InspectError> {
        Ok(Self { maps: Pinned::open(folder)?, names: open_read_only(folder, "SERVICE_NAMES")? })
    }

    /// Returns whose packet it is: its client dials a frontend, or its backend's reply leaves from one.
    pub(super) fn of(&self, packet: &Packet) -> Option<Served> {
        let received = packet.received_frame.as_ref()?;
        let (client, dialled) = ends(received);
        if let Some(found) = dialled.and_then(|dialled| self.at(dialled, received.protocol)) {
            let to = packet.sent_frame.as_ref().and_then(|sent| ends(sent).1).filter(|to| Some(*to) != dialled);
            // A refusal that is sent back goes to the client.
            return Some(Served { backend: to.filter(|to| Some(*to) != client), ..found });
        }
        let sent = packet.sent_frame.as_ref()?;
        let found = self.at(ends(sent).0?, sent.protocol)?;
        Some(Served { is_reply: true, backend: client, ..found })
    }

    /// Returns the Service of a frontend.
    fn at(&self, frontend: SocketAddr, protocol: u8) -> Option<Served> {
        let key = Frontend::new(frontend.ip().into(), frontend.port(), protocol);
        let service = lookup_service(&self.maps, &key, AddressClass::SERVICE, || true).ok()?;
        let stored = self.names.get(&service.id, 0).ok().map(|name| (service.id, name));
        let name = Name::of(service.id, &BTreeMap::from_iter(stored));
        Some(Served {
            service: format!("{}/{}", name.namespace, name.service),
            port: name.to_string(),
            kind: kind(service.kind),
            frontend,
            is_reply: false,
            backend: None,
        })
    }
}

/// Returns the source and the destination of a frame with ports.
fn ends(frame: &Frame) -> (Option<SocketAddr>, Option<SocketAddr>) {
    let end = |address: IpAddr, port: Option<u16>| port.map(|port| SocketAddr::new(address, port));
    let (source, destination) = frame.ports.unzip();
    (end(frame.source, source), end(frame.destination, destination))
}
