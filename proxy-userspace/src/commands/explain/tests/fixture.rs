//! Maps in memory, clients, and the facts about their connections.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use ipnet::IpNet;
use proxy_common::{
    Address, Backend, Frontend, FrontendKind, Network, Protocol, Service, SlotRange,
    decide::{Maps, Selected},
    filter::AddressClass,
};

use super::super::{
    client::{Client, ClientDevice, Hop},
    decision::{Way, decide, shares},
    explanation::{Explanation, SourcePort},
    facts::{Candidate, Facts, Memory, NewSource},
    steps::explain,
    text::text,
};
use crate::{
    attach::Mode,
    commands::{
        cli::ClientKind,
        get::{Clock, Name},
    },
};

const TCP: Protocol = Protocol::Tcp;

/// Maps in memory.
#[derive(Default)]
pub(in super::super) struct Memories {
    pub(in super::super) services: BTreeMap<Frontend, Service>,
    networks: Vec<(IpNet, Network)>,
    ranges: Vec<IpNet>,
    slots: Vec<u32>,
    backends: BTreeMap<u32, Backend>,
}

impl Maps for Memories {
    fn service(&self, frontend: &Frontend) -> Option<Service> {
        self.services.get(frontend).copied()
    }

    fn network(&self, address: &Address) -> Option<Network> {
        let address = IpAddr::from(*address);
        let found = self.networks.iter().filter(|(prefix, _)| prefix.contains(&address));
        found.max_by_key(|(prefix, _)| prefix.prefix_len()).map(|(_, network)| *network)
    }

    fn is_admitted(&self, _service: u32, client: &Address) -> bool {
        self.ranges.iter().any(|range| range.contains(&IpAddr::from(*client)))
    }

    fn slot(&self, slot: u32) -> Option<u32> {
        self.slots.get(slot as usize).copied()
    }

    fn backend(&self, id: u32) -> Option<Backend> {
        self.backends.get(&id).copied()
    }
}

pub(in super::super) fn address(text: &str) -> Address {
    text.parse::<Ipv4Addr>().unwrap().into()
}

pub(in super::super) fn dialled(to: &str, port: u16) -> Frontend {
    Frontend::new(address(to), port, TCP as u8)
}

pub(in super::super) const fn range(offset: u32, length: u32) -> SlotRange {
    SlotRange { offset, length }
}

pub(in super::super) fn service(kind: FrontendKind, flags: u8, internal: SlotRange, external: SlotRange) -> Service {
    Service { id: 1, kind: kind as u8, flags: Service::USABLE | flags, internal, external, ..Service::default() }
}

/// `default/web:http` with a backend here (id 1) and one elsewhere (id 2): a ClusterIP, a node port of policy Local, and a
/// load-balancer IP for 198.51.100.0/24.
pub(in super::super) fn memories() -> Memories {
    let backend = |text: &str, flags| Backend { address: address(text), port: 8080, flags, generation: 1 };
    let local = Service::EXTERNAL_LOCAL;
    Memories {
        services: [
            (dialled("10.96.0.10", 80), service(FrontendKind::ClusterIp, 0, range(0, 2), range(0, 2))),
            (Frontend::owner(address("10.96.0.10")), Service::default()),
            (dialled("0.0.0.0", 30080), service(FrontendKind::NodePort, local, range(0, 2), range(2, 1))),
            (
                dialled("203.0.113.2", 80),
                service(FrontendKind::LoadBalancer, Service::SOURCE_RANGES, range(0, 2), range(0, 2)),
            ),
        ]
        .into(),
        networks: vec![
            ("10.96.0.0/16".parse().unwrap(), Network::SERVICE_CIDR),
            ("192.168.50.1/32".parse().unwrap(), Network::NODE),
            ("127.0.0.0/8".parse().unwrap(), Network::LOOPBACK),
        ],
        ranges: vec!["198.51.100.0/24".parse().unwrap()],
        slots: vec![1, 2, 1],
        backends: [
            (1, backend("10.244.1.1", Backend::VALID | Backend::LOCAL)),
            (2, backend("10.244.2.1", Backend::VALID)),
        ]
        .into(),
    }
}

pub(in super::super) fn outside() -> Client {
    let device = ClientDevice { index: 2, name: "eth0".to_owned(), mode: Some(Mode::Tc), flags: 0 };
    Client { address: "192.0.2.9".parse().unwrap(), port: None, kind: ClientKind::Outside, device: Some(device) }
}

pub(in super::super) fn pod() -> Client {
    Client { address: "10.244.1.7".parse().unwrap(), port: None, kind: ClientKind::Pod, device: None }
}

/// The facts about a connection, by the maps of [`memories`].
pub(in super::super) fn facts(maps: &Memories, client: Client, to: Frontend) -> Facts {
    let way = match client.kind {
        ClientKind::Outside => Way::Packet {
            internal: false,
            is_own: false,
            class: AddressClass::NODE | AddressClass::SERVICE,
            is_node_port: true,
        },
        kind => Way::Socket { is_node: kind == ClientKind::Node },
    };
    let decision = decide(maps, &client.address.into(), &to, way);
    let is_packet = client.kind == ClientKind::Outside;
    let candidate = |(selected, slots): (Selected, u32)| {
        let node = NewSource::Nodes(address("192.168.50.1"), SourcePort::KeptIfFree);
        let source = if selected.backend.is_local() || !is_packet { NewSource::Clients } else { node };
        Candidate { selected, slots, source, hop: Hop::By { device: "eth0".to_owned(), gateway: None } }
    };
    let name = Name { namespace: "default".to_owned(), service: "web".to_owned(), port: "http".to_owned() };
    Facts {
        name: decision.service.is_ok().then_some(name),
        changed: Some("2026-12-01T03:06:56Z".parse().unwrap()),
        candidates: decision
            .list
            .map_or_else(|_| Vec::new(), |(range, _)| shares(maps, range).into_iter().map(candidate).collect()),
        ranges: maps.ranges.clone(),
        holders: vec![],
        network: maps.network(&to.address).map(|network| (maps.networks[0].0, network)),
        client,
        dialled: to,
        protocol: TCP,
        way,
        decision,
        memory: Memory::Nothing,
        flow: None,
        probe_port: 62_000,
        clock: Clock::default(),
        now: "2026-12-01T03:08:26Z".parse().unwrap(),
        hop: Hop::None,
    }
}

pub(in super::super) fn explained(maps: &Memories, client: Client, to: Frontend) -> (Explanation, String) {
    let facts = facts(maps, client, to);
    let explanation = explain(&facts);
    let text = text(&facts, &explanation);
    (explanation, text)
}

pub(in super::super) fn fault(explanation: &Explanation) -> [Option<&str>; 4] {
    let part = &explanation.verdict;
    [part.reason, part.rule, part.object.as_deref(), part.field.as_deref()]
}
