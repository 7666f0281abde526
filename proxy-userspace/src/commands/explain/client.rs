//! Where a client is, and which hook sees its new connections.

use std::{convert::Infallible, io, net::IpAddr};

use proxy_common::{Device, Frontend, Protocol};

use super::{decision::Way, maps::Pinned, question::QuestionError};
use crate::{
    attach::Mode,
    commands::{cli::ClientKind, get::DeviceRow},
    node::{
        bpf,
        route_lookup::{ResolvedRoute, RouteAnswer},
    },
    sockets::destroy::Namespaces,
};

/// A device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientDevice {
    /// Its index in this network namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// How Waggle serves it; `None` if it does not.
    pub mode: Option<Mode>,
    /// Its flags in DEVICES.
    pub flags: u32,
}

impl ClientDevice {
    /// Whether clients behind the device are pods of this node.
    const fn is_pods(&self) -> bool {
        self.flags & Device::POD != 0
    }

    /// Whether only SCTP is served on the device.
    const fn is_for_sctp(&self) -> bool {
        self.flags & Device::SCTP != 0
    }
}

/// A client, with what was found out about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address.
    pub address: IpAddr,
    /// Its port, if it is given.
    pub port: Option<u16>,
    /// Where it is.
    pub kind: ClientKind,
    /// The device by which its packets come in; `None` for processes of the node, and if there is no route to it.
    pub device: Option<ClientDevice>,
}

impl Client {
    /// Whether the first packet decides, and not a call of a socket: for clients outside, for pods whose sockets are not this
    /// node's (`--pod-interfaces`), and for SCTP.
    pub fn sends_packets(&self, protocol: Protocol) -> bool {
        let has_own_sockets = self.device.as_ref().is_some_and(|device| device.is_pods() && !device.is_for_sctp());
        match self.kind {
            ClientKind::Outside => true,
            ClientKind::Pod => has_own_sockets || protocol == Protocol::Sctp,
            ClientKind::Node => protocol == Protocol::Sctp,
        }
    }

    /// Whether it is a process of this node whose packets are translated on their way out.
    pub fn sends_own_packets(&self, protocol: Protocol) -> bool {
        self.kind == ClientKind::Node && protocol == Protocol::Sctp
    }

    /// By which hook a new connection is decided about.
    pub fn way(&self, protocol: Protocol, dialled: &Frontend, maps: &Pinned) -> Way {
        if !self.sends_packets(protocol) {
            return Way::Socket { is_node: self.kind == ClientKind::Node };
        }
        Way::Packet {
            internal: self.kind != ClientKind::Outside,
            is_own: self.sends_own_packets(protocol),
            class: maps.address_class(&dialled.address),
            is_node_port: maps.is_node_port(dialled.port),
        }
    }

    /// Whether no program sees its packets.
    pub fn is_unserved(&self, protocol: Protocol) -> bool {
        let is_unserved =
            |device: &ClientDevice| device.mode.is_none() || device.is_for_sctp() && protocol != Protocol::Sctp;
        self.sends_packets(protocol) && self.kind != ClientKind::Node && self.device.as_ref().is_some_and(is_unserved)
    }
}

/// What is known about where a client is.
#[derive(Clone, Copy, Debug)]
pub struct Traces<'a> {
    /// The kernel's answer about the route to it.
    pub route: RouteAnswer,
    /// The device of that route.
    pub device: Option<&'a ClientDevice>,
    /// A backend on this node has its address.
    pub is_backend_here: bool,
}

/// Returns where a client is: on the node if the address is the node's own; in a pod if it is a backend on this node, or if it is
/// reached directly by a device that is no served uplink. All others are outside. Pure.
pub fn locate(traces: Traces<'_>) -> ClientKind {
    let is_uplink = traces.device.is_some_and(|device| device.mode.is_some() && !device.is_pods());
    match traces.route {
        RouteAnswer::Own => ClientKind::Node,
        _ if traces.is_backend_here => ClientKind::Pod,
        RouteAnswer::By(ResolvedRoute { gateway: None, .. }) if !is_uplink => ClientKind::Pod,
        RouteAnswer::By(_) | RouteAnswer::Refused | RouteAnswer::None => ClientKind::Outside,
    }
}

/// Returns the device with an index, which may be one that Waggle does not serve.
pub fn device(index: u32, rows: &[DeviceRow], maps: &Pinned) -> ClientDevice {
    let row = rows.iter().find(|row| row.index == index);
    ClientDevice { index, name: name_of(index), mode: row.map(|row| row.mode), flags: maps.device_flags(index) }
}

/// Returns the device with a name in this network namespace.
pub fn device_named(name: &str, rows: &[DeviceRow], maps: &Pinned) -> Result<ClientDevice, QuestionError> {
    let index = nix::net::if_::if_nametoindex(name).map_err(|_| QuestionError::Device(name.to_owned()))?;
    Ok(device(index, rows, maps))
}

/// Returns the name of a device in this network namespace; its index if it has none any more.
pub fn name_of(index: u32) -> String {
    let name = nix::net::if_::if_indextoname(index).ok();
    name.map_or_else(|| format!("index={index}"), |name| name.to_string_lossy().into_owned())
}

/// Returns the cookies of the network namespaces whose processes may be this client: affinity knows them by these (S25). Several
/// namespaces of a machine may have the same address, such as those of nodes that are containers themselves; processes of only one
/// are clients of this node. Those that can't be entered are left out.
pub fn netns_of(kind: ClientKind, address: IpAddr) -> io::Result<Vec<u64>> {
    let own = bpf::netns_cookie()?;
    if kind == ClientKind::Node {
        return Ok(vec![own]);
    }
    // A socket can be bound only to an address of its namespace.
    let open = move || match std::net::UdpSocket::bind((address, 0)) {
        Ok(_) => bpf::netns_cookie().map(Some),
        Err(_) => Ok(None),
    };
    let mut found = Vec::new();
    let visit = |cookie: io::Result<Option<u64>>| {
        found.extend(cookie.ok().flatten().filter(|cookie| *cookie != own));
        Ok::<(), Infallible>(())
    };
    let Ok(()) = Namespaces::find()?.visit(open, visit)?;
    Ok(found)
}

/// The route that a packet takes, in words that people know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hop {
    /// To this node itself.
    Own,
    /// Out of a device.
    By {
        /// The device's name.
        device: String,
        /// The next router; `None` if the address is reached directly.
        gateway: Option<IpAddr>,
    },
    /// A route refuses it.
    Refused,
    /// There is no route.
    None,
}

impl Hop {
    /// Whether packets get there.
    pub const fn leads(&self) -> bool {
        matches!(self, Self::Own | Self::By { .. })
    }
}

impl From<RouteAnswer> for Hop {
    fn from(answer: RouteAnswer) -> Self {
        match answer {
            RouteAnswer::Own => Self::Own,
            RouteAnswer::By(route) => Self::By { device: name_of(route.device), gateway: route.gateway },
            RouteAnswer::Refused => Self::Refused,
            RouteAnswer::None => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eth0(mode: Option<Mode>, flags: u32) -> ClientDevice {
        ClientDevice { index: 2, name: "eth0".to_owned(), mode, flags }
    }

    fn by(gateway: Option<&str>) -> RouteAnswer {
        let gateway = gateway.map(|gateway| gateway.parse().unwrap());
        RouteAnswer::By(ResolvedRoute { device: 2, source: None, gateway })
    }

    #[test]
    fn clients_are_where_routes_lead() {
        let (uplink, pods, other) = (eth0(Some(Mode::Tc), 0), eth0(Some(Mode::Tc), Device::POD), eth0(None, 0));
        for (route, device, is_backend_here, kind) in [
            (RouteAnswer::Own, None, false, ClientKind::Node),
            (RouteAnswer::Own, None, true, ClientKind::Node),
            (by(None), Some(&uplink), false, ClientKind::Outside),
            (by(Some("192.168.50.254")), Some(&uplink), false, ClientKind::Outside),
            (by(None), Some(&other), false, ClientKind::Pod),
            (by(None), Some(&pods), false, ClientKind::Pod),
            (by(Some("192.168.50.254")), Some(&other), false, ClientKind::Outside),
            (by(None), Some(&uplink), true, ClientKind::Pod),
            (RouteAnswer::None, None, false, ClientKind::Outside),
        ] {
            assert_eq!(locate(Traces { route, device, is_backend_here }), kind, "{route:?} {device:?}");
        }
    }

    #[test]
    fn sockets_decide_for_processes_of_this_node_unless_they_speak_sctp() {
        let client = |kind, device| Client { address: "10.244.1.7".parse().unwrap(), port: None, kind, device };
        let virtual_machine = eth0(Some(Mode::Tc), Device::POD);
        let sctp_only = eth0(Some(Mode::Tc), Device::POD | Device::SCTP);
        for (client, tcp, sctp) in [
            (client(ClientKind::Outside, None), true, true),
            (client(ClientKind::Node, None), false, true),
            (client(ClientKind::Pod, None), false, true),
            (client(ClientKind::Pod, Some(virtual_machine)), true, true),
            (client(ClientKind::Pod, Some(sctp_only)), false, true),
        ] {
            let found = [Protocol::Tcp, Protocol::Sctp].map(|protocol| client.sends_packets(protocol));
            assert_eq!(found, [tcp, sctp], "{client:?}");
        }
        assert!(client(ClientKind::Outside, Some(eth0(None, 0))).is_unserved(Protocol::Tcp));
        assert!(!client(ClientKind::Outside, Some(eth0(Some(Mode::Xdp), 0))).is_unserved(Protocol::Tcp));
        assert!(!client(ClientKind::Pod, Some(eth0(None, 0))).is_unserved(Protocol::Tcp), "its sockets are served");
    }
}
