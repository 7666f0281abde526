//! Compares what the programs did with what the other steps of the explanation say. Pure.
//!
//! A backend is drawn by chance, so that one of the list will do. The device that a packet leaves by is not compared: the steps ask
//! the kernel for a route from this node, and the programs for that of the packet, which rules and several equal routes may lead
//! elsewhere.

use std::net::SocketAddr;

use proxy_common::{Counter, State};

use super::{Decided, Trial, packet::Seen};
use crate::commands::explain::explanation::{CandidatePart, Explanation, FlowPart, SourcePort};

/// Reasons that the other steps do not look for.
const NOT_EXPLAINED: [Counter; 6] = [
    Counter::DropSnatPortsExhausted,
    Counter::DropConntrackFull,
    Counter::DropMissingStage,
    Counter::DropTooBig,
    Counter::DropHopLimit,
    Counter::DropRejectLimited,
];

/// Returns in which ways the programs did something else than the explanation says, in words; none if they agree.
pub fn disagreements(said: &Explanation, trial: &Trial) -> Vec<String> {
    let as_new = as_new(said, trial);
    match &said.flow {
        Some(flow) if !as_new.is_empty() => {
            let in_flow = in_flow(flow, &trial.decided);
            if in_flow.is_empty() { in_flow } else { [in_flow, as_new].concat() }
        }
        _ => as_new,
    }
}

/// Compares with what is said of packets in the flow of the client's port.
fn in_flow(flow: &FlowPart, decided: &Decided) -> Vec<String> {
    let agrees = match decided {
        Decided::Passed => flow.state == State::Foreign.label(),
        Decided::Left(seen) | Decided::Sent(seen, _) => {
            seen.destination.to_string() == flow.backend && seen.source.to_string() == flow.source
        }
        _ => false,
    };
    let way = format!("the flow's packets go to {} from {}", flow.backend, flow.source);
    if agrees { vec![] } else { vec![format!("{way}, and the programs {}", words(decided))] }
}

/// Compares with what is said of a new connection.
fn as_new(said: &Explanation, trial: &Trial) -> Vec<String> {
    let (outcome, reason) = (said.verdict.outcome, said.verdict.reason);
    let agrees = match &trial.decided {
        Decided::Left(seen) | Decided::Sent(seen, _) if outcome == "served" => return translation(said, trial, seen),
        Decided::Left(_) | Decided::Sent(..) | Decided::Failed(_) | Decided::Dropped(None) => false,
        Decided::Passed => outcome == "passes" || outcome == "served" && may_pass(said),
        Decided::Refused(counter, _) | Decided::Dropped(Some(counter)) => {
            let label = counter.label().1;
            let is_on_the_way = || said.candidates.iter().any(|candidate| candidate.refusal == Some(label));
            NOT_EXPLAINED.contains(counter) || reason == Some(label) || outcome == "served" && is_on_the_way()
        }
    };
    if agrees {
        return vec![];
    }
    let reason = reason.map(|reason| format!(", {reason}")).unwrap_or_default();
    vec![format!("the verdict is {outcome}{reason}, and the programs {}", words(&trial.decided))]
}

/// Whether packets of a connection that is served may pass untouched: to a backend without a route, and datagrams to a connected
/// socket of the node, which are its own.
fn may_pass(said: &Explanation) -> bool {
    let has_no_route = |candidate: &CandidatePart| candidate.device.is_none() && !candidate.keeps_client_address;
    let is_cluster_ip = said.frontend.as_ref().is_some_and(|frontend| frontend.r#type == "ClusterIP");
    said.candidates.iter().any(has_no_route) || said.destination.protocol == "UDP" && !is_cluster_ip
}

fn translation(said: &Explanation, trial: &Trial, seen: &Seen) -> Vec<String> {
    let (to, from) = (seen.destination.to_string(), seen.source);
    let Some(candidate) = said.candidates.iter().find(|candidate| candidate.backend == to) else {
        return vec![format!("the programs {}, which is none of the backends", words(&trial.decided))];
    };
    let mut found = Vec::new();
    if let Some(refusal) = candidate.refusal {
        found.push(format!("packets to {to} are refused, {refusal}, and the programs {}", words(&trial.decided)));
    }
    let source = candidate.source.as_deref().unwrap_or("no address");
    if from.ip().to_string() != source {
        found.push(format!("packets to {to} are from {source}, and the programs' is from {from}"));
    }
    let is_left = matches!(trial.decided, Decided::Left(_));
    if is_left != candidate.keeps_client_address {
        let wanted = if candidate.keeps_client_address { "go up the stack" } else { "are sent" };
        found.push(format!("packets to {to} {wanted}, and the programs {}", words(&trial.decided)));
    }
    found.extend(port_fault(candidate, trial, from));
    found
}

/// Checks the source port. A flow that keeps the client's address keeps its port, too, unless another flow has it: then the
/// programs count that they have changed it.
fn port_fault(candidate: &CandidatePart, trial: &Trial, from: SocketAddr) -> Option<String> {
    let is_kept = from.port() == trial.made.source.port();
    let agrees = match candidate.source_port {
        SourcePort::Kept if candidate.keeps_client_address => is_kept || trial.is_port_changed,
        SourcePort::Kept => is_kept,
        SourcePort::KeptIfFree => true,
        SourcePort::Replaced => !is_kept,
    };
    let rule = if candidate.source_port == SourcePort::Replaced { "another than the client's" } else { "the client's" };
    (!agrees).then(|| format!("the source port is {rule}, and the programs' is {}", from.port()))
}

fn words(decided: &Decided) -> String {
    match decided {
        Decided::Passed => "pass it untouched".to_owned(),
        Decided::Left(seen) => format!("leave it to the stack, to {}", seen.destination),
        Decided::Sent(seen, _) => format!("send it to {}", seen.destination),
        Decided::Refused(counter, _) | Decided::Dropped(Some(counter)) => format!("refuse it, {}", counter.label().1),
        Decided::Dropped(None) => "drop it without a reason".to_owned(),
        Decided::Failed(failure) => format!("fail: {failure}"),
    }
}
