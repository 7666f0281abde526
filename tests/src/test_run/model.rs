//! What should happen to the first packet of a flow, by the rules alone: Services and a packet in, a judgement out. It
//! shares no code with the programs and does not know the maps. Pure.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use proxy_common::{Counter, FrontendKind, List, Protocol};

use super::{
    Service,
    places::{NODE, SERVICE_CIDRS},
};
use crate::{
    packet::{
        Content, Packet,
        tcp_flags::{ACK, FIN, RST, SYN},
    },
    scene::Family,
};

/// What should happen to a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It passes.
    Pass,
    /// It is dropped, and this counter moves.
    Drop(Counter),
    /// It is rejected, and this counter moves.
    Refuse(Counter),
    /// It is an echo request and is answered.
    Answer,
    /// It goes to one of these backends; true: on this node.
    Serve(Vec<(SocketAddr, bool)>),
}

/// The type of the SCTP chunk that opens an association.
const INIT: u8 = 1;

/// Judges a packet that belongs to no known flow and comes from outside.
pub fn judge(services: &[Service], packet: &Packet, family: Family) -> Judgement {
    let destination = packet.destination.place.address(family);
    let protocol = match packet.content {
        Content::Tcp(_) => Protocol::Tcp,
        Content::Udp(_) => Protocol::Udp,
        Content::Sctp(_) => Protocol::Sctp,
        Content::Echo(echo) if echo.request => return judge_echo(services, destination, family),
        _ => return unserved(services, destination, family, Judgement::Pass),
    };
    let found = services.iter().filter(|service| service.protocol == protocol).find_map(|service| {
        let kind = service.frontend_kind(destination, packet.destination.port, family)?;
        Some((service, kind))
    });
    match found {
        Some((service, kind)) => judge_service(service, kind, packet, family),
        None => unserved(services, destination, family, Judgement::Refuse(Counter::RejectUnservedPort)),
    }
}

/// S20: an address in a ServiceCIDR belongs to a Service or to nothing; `owned` is the judgement where a Service has the
/// address but no frontend serves the port.
fn unserved(services: &[Service], destination: IpAddr, family: Family, owned: Judgement) -> Judgement {
    let in_cidr = SERVICE_CIDRS.iter().any(|cidr| cidr.parse::<IpNet>().is_ok_and(|net| net.contains(&destination)));
    let is_owned = services.iter().any(|service| service.has(destination, family));
    match (in_cidr, is_owned) {
        (false, _) => Judgement::Pass,
        (true, false) => Judgement::Drop(Counter::DropUnownedAddress),
        (true, true) => owned,
    }
}

fn judge_echo(services: &[Service], destination: IpAddr, family: Family) -> Judgement {
    let usable = services.iter().any(|service| service.has(destination, family) && !service.backends.is_empty());
    if usable { Judgement::Answer } else { unserved(services, destination, family, Judgement::Pass) }
}

fn judge_service(service: &Service, kind: FrontendKind, packet: &Packet, family: Family) -> Judgement {
    let client = packet.source.place.address(family);
    // S21: a drop takes precedence over every refusal.
    if kind == FrontendKind::LoadBalancer && !service.allows(client, family) {
        return Judgement::Drop(Counter::DropSourceRange);
    }
    if let Content::Tcp(tcp) = &packet.content
        && tcp.flags & (SYN | ACK | RST | FIN) != SYN
    {
        // S39: at the node's own address it may be a reply that the node's processes wait for.
        let own = kind == FrontendKind::NodePort;
        return if own { Judgement::Pass } else { Judgement::Refuse(Counter::RejectUnknownConnection) };
    }
    if let Content::Sctp(sctp) = packet.content
        && (sctp.tag != 0 || packet.payload.first() != Some(&INIT))
    {
        let own = kind == FrontendKind::NodePort;
        return if own { Judgement::Pass } else { Judgement::Refuse(Counter::RejectUnknownConnection) };
    }
    let list = if kind == FrontendKind::ClusterIp { service.internal } else { service.external };
    let ways = service.ways(family, list);
    match (ways.is_empty(), service.backends.is_empty()) {
        (false, _) => Judgement::Serve(ways),
        // S16: all backends are excluded by policy, or there are none.
        (true, false) => Judgement::Drop(Counter::DropNoLocalBackend),
        (true, true) => Judgement::Refuse(Counter::RejectNoBackend),
    }
}

impl Service {
    fn has(&self, address: IpAddr, family: Family) -> bool {
        self.addresses.iter().any(|(_, place)| place.address(family) == address)
    }

    fn frontend_kind(&self, address: IpAddr, port: u16, family: Family) -> Option<FrontendKind> {
        if address == NODE.address(family) && self.node_port == Some(port) {
            return Some(FrontendKind::NodePort);
        }
        let mut addresses = self.addresses.iter().filter(|_| port == self.port);
        addresses.find(|(_, place)| place.address(family) == address).map(|(kind, _)| *kind)
    }

    /// S21: without a range of this family every client is allowed, as with a range of all addresses.
    fn allows(&self, client: IpAddr, family: Family) -> bool {
        let is_of_family = |net: &&IpNet| net.addr().is_ipv4() == (family == Family::Ipv4);
        let mut nets = self.ranges.iter().filter(is_of_family).peekable();
        nets.peek().is_none() || nets.any(|net| net.contains(&client))
    }

    fn ways(&self, family: Family, list: List) -> Vec<(SocketAddr, bool)> {
        let listed = self.backends.iter().filter(|(_, local)| *local || list == List::Cluster);
        listed.map(|(end, local)| (end.socket(family), *local)).collect()
    }
}
