//! Which endpoints answer for one service port of one family (S8, S12, S13, S15): values in, lists out.
//! Policies choose between the two lists elsewhere (S14, S17).

use std::{net::SocketAddr, sync::Arc};

/// An endpoint's conditions with their defaults filled in (S9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    pub ready: bool,
    pub serving: bool,
    pub terminating: bool,
}

impl Conditions {
    /// Whether it may stand in where nothing is ready (S12).
    const fn can_stand_in(self) -> bool {
        !self.ready && self.serving && self.terminating
    }
}

/// What an endpoint's node hints say about this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeHint {
    /// It has none.
    Absent,
    /// This node is among them.
    This,
    /// They name other nodes only.
    Others,
}

/// An endpoint that could answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its conditions.
    pub conditions: Conditions,
    /// It is on this node (S9).
    pub local: bool,
    /// Its node hints.
    pub node_hint: NodeHint,
    /// Its zone hints.
    pub zones: &'a [Arc<str>],
}

/// The two lists of S13, and whom their flows may stay with; each sorted and free of duplicates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    /// Usable backends anywhere, after topology.
    pub cluster: Vec<SocketAddr>,
    /// Usable backends on this node.
    pub local: Vec<SocketAddr>,
    /// Backends anywhere that serve until they end, where others are chosen (S29).
    pub cluster_draining: Vec<SocketAddr>,
    /// Those on this node, where others of this node are chosen.
    pub local_draining: Vec<SocketAddr>,
}

impl Lists {
    /// Of `candidates`, sorted and one of each address ([`deduplicate`]), seen from a node in `zone`.
    pub fn new(candidates: &[Candidate<'_>], zone: Option<&str>) -> Self {
        let local: Vec<_> = candidates.iter().filter(|candidate| candidate.local).copied().collect();
        let ready = ready(candidates);
        let cluster = if ready.is_empty() { usable(candidates) } else { nearest(&ready, zone) };
        let (cluster_draining, local_draining) = (draining(candidates), draining(&local));
        Self { cluster, local: usable(&local), cluster_draining, local_draining }
    }

    /// Some backend is usable somewhere (S16).
    pub fn usable(&self) -> bool {
        !self.cluster.is_empty()
    }
}

/// One candidate per address, sorted: the liveliest copy stays, of equally lively ones one that is on this node. Everything
/// that is known about the backend is that copy's (S8): an address that has been given to another pod may still be listed
/// with the old one's node.
pub fn deduplicate(candidates: &mut Vec<Candidate<'_>>) {
    candidates.sort_by_key(|candidate| {
        let Conditions { ready, serving, terminating } = candidate.conditions;
        (candidate.address, terminating, !ready, !serving, !candidate.local)
    });
    candidates.dedup_by_key(|candidate| candidate.address);
}

fn ready<'a>(candidates: &[Candidate<'a>]) -> Vec<Candidate<'a>> {
    candidates.iter().filter(|candidate| candidate.conditions.ready).copied().collect()
}

/// The ready ones, else those that stand in (S12).
fn usable(candidates: &[Candidate<'_>]) -> Vec<SocketAddr> {
    let ready = addresses(candidates, |candidate| candidate.conditions.ready);
    if ready.is_empty() { addresses(candidates, |candidate| candidate.conditions.can_stand_in()) } else { ready }
}

/// Those that would stand in, where something is ready.
fn draining(candidates: &[Candidate<'_>]) -> Vec<SocketAddr> {
    let is_any_ready = candidates.iter().any(|candidate| candidate.conditions.ready);
    addresses(candidates, |candidate| is_any_ready && candidate.conditions.can_stand_in())
}

/// Those meant for this node, else for its zone, else all (S15).
fn nearest(ready: &[Candidate<'_>], zone: Option<&str>) -> Vec<SocketAddr> {
    if ready.iter().all(|candidate| candidate.node_hint != NodeHint::Absent) {
        let here = addresses(ready, |candidate| candidate.node_hint == NodeHint::This);
        if !here.is_empty() {
            return here;
        }
    }
    if let Some(zone) = zone
        && ready.iter().all(|candidate| !candidate.zones.is_empty())
    {
        let here = addresses(ready, |candidate| candidate.zones.iter().any(|hint| **hint == *zone));
        if !here.is_empty() {
            return here;
        }
    }
    addresses(ready, |_| true)
}

fn addresses(candidates: &[Candidate<'_>], keep: impl Fn(&Candidate<'_>) -> bool) -> Vec<SocketAddr> {
    candidates.iter().filter(|candidate| keep(candidate)).map(|candidate| candidate.address).collect()
}

#[cfg(test)]
mod tests;
