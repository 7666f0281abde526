//! Selects the endpoints for one service port of one family (S8, S12, S13, S15): values in, lists out. Which of the two
//! lists a frontend uses is decided elsewhere (S14, S17).

use std::{net::SocketAddr, sync::Arc};

/// An endpoint's conditions with their defaults filled in (S9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    pub ready: bool,
    pub serving: bool,
    pub terminating: bool,
}

impl Conditions {
    /// Whether it is usable where no endpoint is ready (S12).
    const fn is_usable_fallback(self) -> bool {
        !self.ready && self.serving && self.terminating
    }
}

/// What an endpoint's node hints say about this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeHint {
    /// It has no node hints.
    Absent,
    /// This node is among them.
    This,
    /// They name other nodes only.
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
    /// Selects from `candidates`, which are sorted with one for each address ([`deduplicate`]), for a node in `zone`.
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

/// Keeps one candidate for each address, sorted. The copy that is not terminating stays, then the one that is ready,
/// serving, or on this node. All that is known of the backend is that copy's (S8): the address of a new pod may still
/// be listed with an old pod's node.
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

/// The ready candidates, or, if none is ready, those that terminate but serve (S12).
fn usable(candidates: &[Candidate<'_>]) -> Vec<SocketAddr> {
    let ready = addresses(candidates, |candidate| candidate.conditions.ready);
    if ready.is_empty() { addresses(candidates, |candidate| candidate.conditions.is_usable_fallback()) } else { ready }
}

/// The candidates that terminate but serve, if another one is ready.
fn draining(candidates: &[Candidate<'_>]) -> Vec<SocketAddr> {
    let is_any_ready = candidates.iter().any(|candidate| candidate.conditions.ready);
    addresses(candidates, |candidate| is_any_ready && candidate.conditions.is_usable_fallback())
}

/// The candidates hinted for this node, else those hinted for its zone, else all (S15).
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
