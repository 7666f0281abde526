//! Builds an explanation from facts. Pure.

use proxy_common::{Frontend, FrontendKind, List, Service, SlotRange};

use super::{
    client::Hop,
    explanation::{
        AffinityPart, CandidatePart, ClientPart, DestinationPart, Explanation, FlowPart, FrontendPart, PolicyPart,
        SourcePort, SourceRangesPart,
    },
    facts::{Candidate, Facts, Memory, NewSource, at},
    verdict::{refusal_on_the_way, verdict},
};
use crate::{
    commands::{
        cli::ClientKind,
        get::services::{kind, policy},
    },
    maps::encode,
};

/// Explains what would happen.
pub fn explain(facts: &Facts) -> Explanation {
    let service = facts.decision.service.ok().filter(|_| !facts.is_unserved());
    let admitted = service.filter(|_| facts.decision.admission.is_ok());
    let list = facts.decision.list.ok().filter(|_| admitted.is_some());
    Explanation {
        client: client(facts),
        destination: DestinationPart {
            address: std::net::IpAddr::from(facts.dialled.address).to_string(),
            port: facts.dialled.port,
            protocol: facts.protocol.to_string(),
        },
        frontend: service.map(|(_, service)| frontend(facts, &service)),
        source_ranges: service.map(|(_, service)| source_ranges(facts, &service)),
        policy: admitted.map(|(_, service)| policy_part(facts, &service)),
        affinity: list.zip(admitted).and_then(|(_, (_, service))| affinity(facts, &service)),
        flow: facts.flow.as_ref().filter(|_| !facts.is_unserved()).map(|entry| flow(facts, entry)),
        candidates: list.map_or_else(Vec::new, |(range, _)| candidates(facts, range)),
        programs: None,
        verdict: verdict(facts),
    }
}

impl Facts {
    /// Whether no program sees the client's packets.
    pub fn is_unserved(&self) -> bool {
        self.client.is_unserved(self.protocol)
    }

    /// The key of the dialled frontend, and its service, if there is one.
    pub fn service(&self) -> Option<(Frontend, Service)> {
        self.decision.service.ok()
    }
}

fn client(facts: &Facts) -> ClientPart {
    let client = &facts.client;
    ClientPart {
        address: client.address.to_string(),
        port: client.port,
        from: match client.kind {
            ClientKind::Pod => "pod",
            ClientKind::Node => "node",
            ClientKind::Outside => "outside",
        },
        hook: if client.sends_packets(facts.protocol) { "packet" } else { "socket" },
        device: client.device.as_ref().map(|device| device.name.clone()),
        mode: client.device.as_ref().and_then(|device| device.mode),
    }
}

fn frontend(facts: &Facts, service: &Service) -> FrontendPart {
    let name = facts.name.as_ref();
    let text = |part: Option<&String>| part.cloned().unwrap_or_default();
    FrontendPart {
        r#type: kind(service.kind),
        namespace: text(name.map(|name| &name.namespace)),
        service: text(name.map(|name| &name.service)),
        port: text(name.map(|name| &name.port)),
    }
}

fn source_ranges(facts: &Facts, service: &Service) -> SourceRangesPart {
    let is_limited = service.flags & Service::SOURCE_RANGES != 0;
    SourceRangesPart {
        admitted: facts.decision.admission.is_ok(),
        ranges: is_limited.then(|| facts.ranges.iter().map(ToString::to_string).collect()),
    }
}

/// The policy of a frontend. A ClusterIP has the internal one, other frontends have the external one (S14), unless the client is on
/// this node (S17).
fn policy_part(facts: &Facts, service: &Service) -> PolicyPart {
    let (range, list) = service.list(facts.way.is_internal());
    let value = if is_internal(service) { service.internal_list() } else { service.external_list() };
    PolicyPart {
        field: policy_field(service),
        value: policy(value),
        list: policy(list),
        short_circuit: value != list && list == List::Cluster,
        backends: range.length,
    }
}

const fn is_internal(service: &Service) -> bool {
    service.kind == FrontendKind::ClusterIp as u8
}

/// The field of a Service with the policy of a frontend.
pub const fn policy_field(service: &Service) -> &'static str {
    if is_internal(service) { "spec.internalTrafficPolicy" } else { "spec.externalTrafficPolicy" }
}

fn affinity(facts: &Facts, service: &Service) -> Option<AffinityPart> {
    let (backend, expires_seconds) = match facts.memory {
        Memory::Backend(backend, left) => (Some(backend.to_string()), Some(left)),
        Memory::Nothing | Memory::Unknown => (None, None),
    };
    (service.affinity_timeout != 0).then(|| AffinityPart {
        timeout_seconds: service.affinity_timeout,
        known: facts.memory != Memory::Unknown,
        backend,
        expires_seconds,
    })
}

fn flow(facts: &Facts, entry: &proxy_common::ConntrackEntry) -> FlowPart {
    FlowPart {
        state: entry.meta.state().label(),
        backend: at(entry.destination, entry.destination_port).to_string(),
        source: at(entry.source, entry.source_port).to_string(),
        expires_seconds: facts.clock.seconds_left(&entry.meta),
    }
}

fn candidates(facts: &Facts, range: SlotRange) -> Vec<CandidatePart> {
    let of = if matches!(facts.memory, Memory::Backend(..)) { 1 } else { range.length };
    facts.candidates.iter().map(|candidate| candidate_part(facts, candidate, of)).collect()
}

fn candidate_part(facts: &Facts, candidate: &Candidate, of: u32) -> CandidatePart {
    let backend = &candidate.selected.backend;
    let (source, source_port) = match candidate.source {
        NewSource::Clients => (Some(facts.client.address.to_string()), SourcePort::Kept),
        NewSource::Nodes(address, port) => (Some(std::net::IpAddr::from(address).to_string()), port),
        NewSource::Missing => (None, SourcePort::Kept),
    };
    let (device, next_hop) = match &candidate.hop {
        Hop::By { device, gateway } => (Some(device.clone()), gateway.map(|gateway| gateway.to_string())),
        Hop::Own | Hop::Refused | Hop::None => (None, None),
    };
    CandidatePart {
        backend: encode::backend_address(backend).to_string(),
        local: backend.is_local(),
        slots: candidate.slots,
        of,
        source,
        keeps_client_address: candidate.source == NewSource::Clients,
        source_port,
        has_route: candidate.hop.leads(),
        device,
        next_hop,
        refusal: refusal_on_the_way(facts, candidate).map(|counter| counter.label().1),
    }
}
