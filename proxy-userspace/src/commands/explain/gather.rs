//! Gathers what an explanation is made of: from the pinned maps, the kernel's routes and the network namespaces. Changes nothing.

use std::net::IpAddr;

use jiff::Timestamp;
use proxy_common::{
    Address, AffinityKey, List, Protocol, Service, Tuple,
    decide::{self, Maps as _, Selected},
};

use super::{
    ExplainError,
    client::{Client, ClientDevice, Hop, Traces, device, device_named, locate, netns_of},
    decision::{Decision, decide, shares},
    dialled::dialled,
    facts::{Candidate, Facts, Memory, NewSource, source_port},
    holders::holders,
    maps::Pinned,
    memory::{Remembered, recalled},
    question::{Caller, Destination},
};
use crate::{
    commands::{
        cli::ClientKind,
        get::{Clock, DeviceRow, Name, Snapshot, devices, snapshot},
    },
    maps::encode,
    node::{
        jiffies,
        route_lookup::{RouteAnswer, RouteLookup},
    },
};

/// A question whose words have been parsed.
pub struct Question<'a> {
    /// The client, as it was given.
    pub caller: Caller,
    /// What it dials.
    pub destination: Destination,
    /// The protocol.
    pub protocol: Protocol,
    /// Where the client is, if that is given.
    pub from: Option<ClientKind>,
    /// The device by which its packets come in, if that is given.
    pub device: Option<&'a str>,
    /// The instance.
    pub instance: &'a str,
}

/// Gathers the facts about a question.
pub fn gather(question: &Question<'_>) -> Result<Facts, ExplainError> {
    let folder = snapshot::open(question.instance)?;
    let (maps, snapshot) = (Pinned::open(&folder)?, Snapshot::read(question.instance)?);
    let (protocol, mut routes) = (question.protocol, RouteLookup::default());
    let dialled = dialled(&snapshot, question.caller.address, &question.destination, protocol)?;
    let client = find_client(question, &snapshot, &maps, &mut routes)?;
    let way = client.way(protocol, &dialled, &maps);
    let decision = decide(&maps, &client.address.into(), &dialled, way);
    let mut gathering =
        Gathering { client: &client, protocol, maps: &maps, routes: &mut routes, clock: Clock::read()? };
    let tuple = Tuple {
        destination_port: dialled.port,
        source_port: client.port.unwrap_or_default(),
        ..Tuple::from_addresses(client.address.into(), dialled.address, protocol as u8)
    };
    let flow = gathering.flow(&tuple)?;
    let probe_port = gathering.probe_port(&tuple)?;
    let memory = gathering.memory(&decision)?;
    let candidates = gathering.candidates(&decision, memory, &tuple)?;
    let (clock, hop) = (gathering.clock, gathering.routes.answer(dialled.address.into()).into());
    let service = decision.service.ok().map(|(_, service)| service);
    Ok(Facts {
        name: service.map(|service| Name::of(service.id, &snapshot.names)),
        changed: service.and_then(|service| snapshot.names.get(&service.id)).and_then(encode::changed),
        ranges: ranges(&snapshot, service),
        holders: holders(&snapshot, dialled.address),
        network: maps.prefix(&dialled.address)?.zip(maps.network(&dialled.address)),
        client,
        dialled,
        protocol,
        way,
        decision,
        memory: memory.seen,
        candidates,
        flow,
        probe_port,
        clock,
        now: Timestamp::now(),
        hop,
    })
}

fn ranges(snapshot: &Snapshot, service: Option<Service>) -> Vec<ipnet::IpNet> {
    service.and_then(|service| snapshot.sources.get(&service.id)).into_iter().flatten().copied().collect()
}

fn find_client(
    question: &Question<'_>,
    snapshot: &Snapshot,
    maps: &Pinned,
    routes: &mut RouteLookup,
) -> Result<Client, ExplainError> {
    let Caller { address, port } = question.caller;
    let (rows, route) = (devices(question.instance)?, routes.answer(address));
    let behind = reached_by(route, &rows, maps);
    let at: Address = address.into();
    let is_backend_here = snapshot.backends.values().any(|backend| backend.is_local() && backend.address == at);
    let kind = question.from.unwrap_or_else(|| locate(Traces { route, device: behind.as_ref(), is_backend_here }));
    let device = match question.device {
        Some(name) => Some(device_named(name, &rows, maps)?),
        None if kind == ClientKind::Node => None,
        None => behind,
    };
    Ok(Client { address, port, kind, device })
}

fn reached_by(route: RouteAnswer, rows: &[DeviceRow], maps: &Pinned) -> Option<ClientDevice> {
    if let RouteAnswer::By(route) = route { Some(device(route.device, rows, maps)) } else { None }
}

/// A client's memory, and the id of the backend that it keeps.
#[derive(Clone, Copy)]
struct Kept {
    seen: Memory,
    backend: Option<Selected>,
}

/// What the look-ups share.
struct Gathering<'a> {
    client: &'a Client,
    protocol: Protocol,
    maps: &'a Pinned,
    routes: &'a mut RouteLookup,
    clock: Clock,
}

impl Gathering<'_> {
    fn flow(&self, tuple: &Tuple) -> Result<Option<proxy_common::ConntrackEntry>, ExplainError> {
        if self.client.port.is_none() || !self.client.sends_packets(self.protocol) {
            return Ok(None);
        }
        Ok(self.maps.flow(tuple, jiffies::modulo(self.clock.jiffies))?)
    }

    /// The client's port, or one from which this client has no flow to the destination. Source translation may use these ports,
    /// except where a node has unusual settings.
    fn probe_port(&self, tuple: &Tuple) -> Result<u16, ExplainError> {
        const FIRST: u16 = 62_000;
        const TRIED: u16 = 64;
        if let Some(port) = self.client.port {
            return Ok(port);
        }
        if !self.client.sends_packets(self.protocol) {
            return Ok(FIRST);
        }
        for source_port in FIRST..FIRST + TRIED {
            if self.maps.flow(&Tuple { source_port, ..*tuple }, jiffies::modulo(self.clock.jiffies))?.is_none() {
                return Ok(source_port);
            }
        }
        Ok(FIRST)
    }

    /// Looks up the client in AFFINITY, if it matters.
    fn memory(&self, decision: &Decision) -> Result<Kept, ExplainError> {
        let nothing = Kept { seen: Memory::Nothing, backend: None };
        let (Ok((_, service)), Ok((_, list))) = (decision.service, decision.list) else { return Ok(nothing) };
        if service.affinity_timeout == 0 {
            return Ok(nothing);
        }
        let keys = self.keys(&service)?;
        let kept: Vec<Kept> = keys.iter().filter_map(|key| self.recall(key, &service, list)).collect();
        Ok(match kept.as_slice() {
            [] if keys.is_empty() => Kept { seen: Memory::Unknown, backend: None },
            [] => nothing,
            [one] => *one,
            // Two namespaces with the client's address have backends: nothing says which one is meant.
            _ => Kept { seen: Memory::Unknown, backend: None },
        })
    }

    /// The keys in AFFINITY that may be the client's (S25); none if its network namespace is not found.
    fn keys(&self, service: &Service) -> Result<Vec<AffinityKey>, ExplainError> {
        if self.client.sends_packets(self.protocol) {
            return Ok(vec![AffinityKey::from_address(self.client.address.into(), service.id)]);
        }
        let cookies = netns_of(self.client.kind, self.client.address).map_err(ExplainError::Namespaces)?;
        Ok(cookies.into_iter().map(|cookie| AffinityKey::from_netns(cookie, service.id)).collect())
    }

    fn recall(&self, key: &AffinityKey, service: &Service, list: List) -> Option<Kept> {
        let entry = self.maps.affinity(key)?;
        let selected = decide::get_backend(self.maps, entry.backend)?;
        let remembered = Remembered {
            entry,
            timeout: service.affinity_timeout,
            generation: self.maps.generation(service.id),
            membership: self.maps.membership(service.id, entry.backend),
            backend_generation: selected.backend.generation,
        };
        let left = recalled(&remembered, list, self.clock.nanoseconds)?;
        Some(Kept { seen: Memory::Backend(encode::backend_address(&selected.backend), left), backend: Some(selected) })
    }

    /// The backends that the connection may get: the one that the client keeps, or those of its list.
    fn candidates(&mut self, decision: &Decision, kept: Kept, tuple: &Tuple) -> Result<Vec<Candidate>, ExplainError> {
        let Ok((range, list)) = decision.list else { return Ok(Vec::new()) };
        let found = match kept.backend {
            Some(selected) => vec![(selected, 1)],
            None => shares(self.maps, range),
        };
        found.into_iter().map(|(selected, slots)| self.candidate(selected, slots, list, tuple)).collect()
    }

    fn candidate(
        &mut self,
        selected: Selected,
        slots: u32,
        list: List,
        tuple: &Tuple,
    ) -> Result<Candidate, ExplainError> {
        let source = self.source(&selected, list, tuple)?;
        let hop = Hop::from(self.routes.answer(IpAddr::from(selected.backend.address)));
        Ok(Candidate { selected, slots, source, hop })
    }

    /// The source of packets to a backend: the rules are those of `insert_flow` in `proxy-ebpf/src/flow/open.rs`.
    fn source(&self, selected: &Selected, list: List, tuple: &Tuple) -> Result<NewSource, ExplainError> {
        let backend = &selected.backend;
        if !self.client.sends_packets(self.protocol) {
            return Ok(NewSource::Clients);
        }
        let is_here = backend.is_local() || backend.replies_bypass() && list == List::Local;
        if is_here && backend.address != tuple.source && !self.client.sends_own_packets(self.protocol) {
            return Ok(NewSource::Clients);
        }
        let Some(source) = self.maps.source_for(backend) else { return Ok(NewSource::Missing) };
        let class = self.client.port.map(|port| self.maps.port_class(port));
        let translated = Tuple {
            source_port: tuple.source_port,
            destination_port: backend.port,
            ..Tuple::from_addresses(source, backend.address, tuple.protocol)
        };
        let owner = match class {
            Some(_) => self.maps.flow(&translated.inverse(), jiffies::modulo(self.clock.jiffies))?,
            None => None,
        };
        let is_taken = owner.is_some_and(|owner| owner.inverse_key(tuple.protocol) != *tuple);
        Ok(NewSource::Nodes(source, source_port(class, is_taken)))
    }
}
