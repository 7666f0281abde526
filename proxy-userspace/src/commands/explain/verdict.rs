//! The result of a connection, and for a refusal its reason, the rule, and the object and field at fault. Pure.

use jiff::Timestamp;
use proxy_common::{Counter, DropReason, Frontend, Network, Protocol, RejectReason, Verdict};

use super::{
    client::Hop,
    decision::Way,
    explanation::VerdictPart,
    facts::{Candidate, Facts, NewSource},
    reasons::rule,
    steps::policy_field,
};
use crate::maps::encode;

/// The result for all backends of the list: a refusal only if none can be sent to.
pub fn verdict(facts: &Facts) -> VerdictPart {
    if facts.is_unserved() {
        return passes(
            "no program of Waggle sees its packets: they are left to the kernel, which knows no Services".to_owned(),
        );
    }
    match facts.decision.list {
        Err(Verdict::Reject(reason)) => refused(facts, reason.counter(), "rejected", reject_sight(facts, reason)),
        Err(Verdict::Drop(reason)) => refused(facts, reason.counter(), "dropped", drop_sight(facts)),
        Err(_) => passes(format!("Waggle leaves it alone; {}", sight_of_hop(facts))),
        Ok(_) => served(facts),
    }
}

fn served(facts: &Facts) -> VerdictPart {
    let mut refusals = facts.candidates.iter().map(|candidate| refusal_on_the_way(facts, candidate));
    match refusals.next() {
        None => refused(facts, DropReason::MissingBackend.counter(), "dropped", drop_sight(facts)),
        Some(Some(first)) if refusals.all(|refusal| refusal.is_some()) => {
            refused(facts, first, "dropped", drop_sight(facts))
        }
        _ => VerdictPart { outcome: "served", ..passes(sight_of_backends(&facts.candidates)) },
    }
}

/// What the client of a served connection sees: packets to a backend without a route are lost, or refused by the kernel.
fn sight_of_backends(candidates: &[Candidate]) -> String {
    let answer = "the backend answers, in the name of what was dialled";
    let lost: Vec<&Candidate> = candidates.iter().filter(|candidate| !candidate.hop.leads()).collect();
    match lost.as_slice() {
        [] => answer.to_owned(),
        all if all.len() == candidates.len() => {
            "no answer, since no route of this node leads to a backend: look for what should have added one, the network \
             plugin for pods"
                .to_owned()
        }
        [one] => {
            let backend = encode::backend_address(&one.selected.backend);
            format!("{answer}, unless it is {backend}: no route of this node leads there")
        }
        some => format!("{answer}, unless it is one of the {} that no route of this node leads to", some.len()),
    }
}

fn passes(client_sees: String) -> VerdictPart {
    VerdictPart {
        outcome: "passes",
        client_sees,
        reason: None,
        meaning: None,
        rule: None,
        object: None,
        field: None,
        since: None,
        advice: None,
    }
}

fn refused(facts: &Facts, counter: Counter, outcome: &'static str, client_sees: String) -> VerdictPart {
    let (object, field) = fault(facts, counter);
    VerdictPart {
        outcome,
        client_sees,
        reason: Some(counter.label().1),
        meaning: Some(counter.meaning()),
        rule: rule(counter),
        object,
        field,
        since: since(facts, counter).map(|at| at.to_string()),
        advice: counter.advice(),
    }
}

/// When what leads to a refusal last changed: the lists and source ranges of the dialled port. `None` if something else leads to
/// it.
pub fn since(facts: &Facts, counter: Counter) -> Option<Timestamp> {
    use Counter::{DropMissingBackend, DropNoLocalBackend, DropSourceRange, RejectNoBackend};
    let is_of_port = matches!(counter, RejectNoBackend | DropNoLocalBackend | DropSourceRange | DropMissingBackend);
    facts.changed.filter(|_| is_of_port)
}

/// Why packets to a backend are dropped once it is chosen; `None` if they are not.
pub fn refusal_on_the_way(facts: &Facts, candidate: &Candidate) -> Option<Counter> {
    if !facts.client.sends_packets(facts.protocol) {
        return None;
    }
    match (candidate.source, &candidate.hop) {
        (NewSource::Missing, _) => Some(DropReason::NoNodeAddress.counter()),
        (NewSource::Nodes(..), Hop::Refused) => Some(DropReason::NoRoute.counter()),
        _ => None,
    }
}

/// The Kubernetes object at fault, and its field.
fn fault(facts: &Facts, counter: Counter) -> (Option<String>, Option<String>) {
    let service = facts.service();
    let name = facts.name.as_ref().map(|name| format!("Service {}/{}", name.namespace, name.service));
    let own = |field: &str| (name.clone(), Some(field.to_owned()));
    match counter {
        Counter::RejectNoBackend => {
            let slices = name.as_ref().map(|name| format!("EndpointSlices of {name}"));
            (slices, Some("endpoints[].conditions.ready".to_owned()))
        }
        Counter::RejectUnservedPort => {
            let holders: Vec<&str> = facts.holders.iter().map(|holder| holder.service.as_str()).collect();
            let object = (!holders.is_empty()).then(|| format!("Service {}", holders.join(", ")));
            (object, Some("spec.ports".to_owned()))
        }
        Counter::DropNoLocalBackend => service.map_or((None, None), |(_, service)| own(policy_field(&service))),
        Counter::DropSourceRange => own("spec.loadBalancerSourceRanges"),
        Counter::DropUnownedAddress => {
            let prefix = facts.network.filter(|(_, network)| *network == Network::SERVICE_CIDR);
            (prefix.map(|(prefix, _)| format!("ServiceCIDR {prefix}")), Some("spec.cidrs".to_owned()))
        }
        Counter::DropNoNodeAddress => (Some("Node".to_owned()), Some("status.addresses".to_owned())),
        _ => (None, None),
    }
}

/// What the client sees of a reject (docs/semantics.md has the table).
fn reject_sight(facts: &Facts, reason: RejectReason) -> String {
    let text = match (facts.way, facts.protocol) {
        (Way::Socket { .. }, Protocol::Udp) if reason == RejectReason::UnservedPort => {
            "connect() succeeds (F2), and sending fails at once with ECONNREFUSED: connection refused"
        }
        (Way::Socket { .. }, Protocol::Udp) => {
            "connect(), sendto() or sendmsg() fails at once with ECONNREFUSED: connection refused"
        }
        (Way::Socket { .. }, _) => "connect() fails at once with ECONNREFUSED: connection refused",
        (Way::Packet { .. }, Protocol::Tcp) => "a RST at once: connection refused",
        (Way::Packet { .. }, _) => "an ICMP error at once: port unreachable",
    };
    text.to_owned()
}

/// What the client sees of a drop.
fn drop_sight(facts: &Facts) -> String {
    let text = match (facts.way, facts.protocol) {
        (Way::Socket { .. }, Protocol::Udp) => {
            "connect(), sendto() or sendmsg() fails at once with EHOSTUNREACH: no route to host"
        }
        (Way::Socket { .. }, _) => "connect() fails at once with EHOSTUNREACH: no route to host",
        (Way::Packet { .. }, _) => "nothing, until it gives up: its packets are dropped silently",
    };
    text.to_owned()
}

/// What the kernel does with what passes.
fn sight_of_hop(facts: &Facts) -> String {
    match &facts.hop {
        Hop::Own => "the address is this node's own, so what listens there answers".to_owned(),
        Hop::By { device, gateway: None } => format!("the kernel sends it out of {device}"),
        Hop::By { device, gateway: Some(gateway) } => format!("the kernel sends it to {gateway} out of {device}"),
        Hop::Refused => "a route of the kernel refuses it".to_owned(),
        Hop::None => "the kernel has no route to it".to_owned(),
    }
}

/// Why a dialled address is no frontend, in words, with the rule.
pub fn no_frontend(facts: &Facts) -> String {
    let Frontend { port, .. } = facts.dialled;
    let holders = facts.holders.iter().map(|holder| format!("{} ({})", holder.service, holder.ports.join(", ")));
    let holders = holders.collect::<Vec<_>>().join(" and ");
    let prefix = facts.network.map(|(prefix, _)| prefix.to_string()).unwrap_or_default();
    match facts.decision.service {
        Err(Verdict::Reject(_)) if holders.is_empty() => {
            format!("the address is a Service's, which does not serve port {port}")
        }
        Err(Verdict::Reject(_)) => format!("the address is that of {holders}"),
        Err(Verdict::Drop(_)) => format!("the address is inside ServiceCIDR {prefix}, and no Service has it"),
        _ if facts.network.is_some_and(|(_, network)| network == Network::DIRECT) => {
            "the address is a real one, although a ServiceCIDR has it, too: that of a pod, a node or a device (F1, F3)"
                .to_owned()
        }
        _ if !holders.is_empty() => {
            format!("the address is that of {holders}; other ports of an external address belong to the host (S20)")
        }
        _ if facts.hop == Hop::Own => {
            format!("the address is this node's, and no Service has node port {port} of this protocol there (S19)")
        }
        _ => "no Service has the address (S39)".to_owned(),
    }
}
