//! Selects the endpoints for one service port of one family (S8, S12, S13, S15): values in, lists out. Which of the two
//! lists a frontend uses is decided elsewhere (S14, S17).

use std::{net::SocketAddr, sync::Arc};

/// An endpoint's conditions, with the API's defaults where they are absent (S9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    pub ready: bool,
    pub serving: bool,
    pub terminating: bool,
}

impl Conditions {
    /// Whether the endpoint is usable if no endpoint is ready (S12).
    const fn is_usable_fallback(self) -> bool {
        !self.ready && self.serving && self.terminating
    }
}

/// The meaning of an endpoint's node hints for this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeHint {
    /// The endpoint has no node hints.
    Absent,
    /// The hints name this node, maybe among others.
    This,
    /// The hints name other nodes only.
    Others,
}

/// An endpoint that may be selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Its address and port.
    pub address: SocketAddr,
    /// Its conditions.
    pub conditions: Conditions,
    /// Whether it is on this node (S9).
    pub local: bool,
    /// Its node hints.
    pub node_hint: NodeHint,
    /// Its zone hints.
    pub zones: &'a [Arc<str>],
}

/// The two lists of S13, and the backends that may keep their flows. Each is sorted and free of duplicates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    /// The usable backends of all nodes, after topology.
    pub cluster: Vec<SocketAddr>,
    /// The usable backends on this node.
    pub local: Vec<SocketAddr>,
    /// Backends of all nodes that terminate but still serve, while others are ready (S29).
    pub cluster_draining: Vec<SocketAddr>,
    /// Backends on this node that terminate but still serve, while others on this node are ready.
    pub local_draining: Vec<SocketAddr>,
}

impl Lists {
    /// Selects from `candidates` for a node in `zone`. [`deduplicate`] must have sorted them and left one for each address.
    pub fn new(candidates: &[Candidate<'_>], zone: Option<&str>) -> Self {
        let local: Vec<_> = candidates.iter().filter(|candidate| candidate.local).copied().collect();
        let ready = ready(candidates);
        let cluster = if ready.is_empty() { usable(candidates) } else { nearest(&ready, zone) };
        let (cluster_draining, local_draining) = (draining(candidates), draining(&local));
        Self { cluster, local: usable(&local), cluster_draining, local_draining }
    }

    /// Whether some backend of any node is usable (S16).
    pub fn usable(&self) -> bool {
        !self.cluster.is_empty()
    }
}

/// Sorts the candidates by address and keeps one for each (S8): preferably one that is not terminating, then one that is ready,
/// then serving, then on this node. Only the kept copy counts: a new pod may have an address that is still listed for an old pod
/// on another node.
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

/// Returns the ready candidates, or, if none is ready, those that terminate but serve (S12).
fn usable(candidates: &[Candidate<'_>]) -> Vec<SocketAddr> {
    let ready = addresses(candidates, |candidate| candidate.conditions.ready);
    if ready.is_empty() { addresses(candidates, |candidate| candidate.conditions.is_usable_fallback()) } else { ready }
}

/// Returns the candidates that terminate but serve, if another one is ready.
fn draining(candidates: &[Candidate<'_>]) -> Vec<SocketAddr> {
    let is_any_ready = candidates.iter().any(|candidate| candidate.conditions.ready);
    addresses(candidates, |candidate| is_any_ready && candidate.conditions.is_usable_fallback())
}

/// Returns the candidates hinted for this node, else those hinted for its zone, else all (S15).
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
