//! An explanation as numbered steps for people. Pure.

use proxy_common::{Protocol, State};

use super::{
    explanation::{AffinityPart, CandidatePart, Explanation, FlowPart, PolicyPart, SourcePort, SourceRangesPart},
    facts::Facts,
    trial,
    verdict::no_frontend,
    wrap::{Topic, columns},
};
use crate::{
    attach::Mode,
    commands::{age::age, get::services::left},
};

/// How many backends are shown; `-o json` shows all.
const SHOWN: usize = 12;

/// Formats an explanation. Every line ends with a newline.
pub fn text(facts: &Facts, explanation: &Explanation) -> String {
    let number = |(number, step): (usize, Topic)| Topic { name: format!("{number}  {}", step.name), ..step };
    columns(&(1..).zip(steps(facts, explanation)).map(number).collect::<Vec<_>>())
}

/// Returns the steps of an explanation in their order, the verdict last.
pub fn steps(facts: &Facts, explanation: &Explanation) -> Vec<Topic> {
    let step = |name: &str, lines: Vec<String>| Topic { name: name.to_owned(), lines };
    let mut steps = vec![step("client", client(facts, explanation))];
    if let Some(flow) = &explanation.flow {
        steps.push(step("flow", vec![flow_line(explanation.client.port.unwrap_or_default(), flow)]));
    }
    if !facts.is_unserved() {
        steps.push(step("frontend", frontend(facts, explanation)));
    }
    steps.extend(explanation.source_ranges.as_ref().map(|ranges| step("sources", sources(explanation, ranges))));
    steps.extend(explanation.policy.as_ref().map(|policy| step("policy", policy_lines(policy))));
    if !explanation.candidates.is_empty() {
        steps.push(step("affinity", vec![affinity(explanation.affinity.as_ref())]));
        steps.push(step("backend", backends(&explanation.candidates)));
        steps.push(step("packets", packets(explanation)));
    }
    steps.extend(explanation.programs.as_ref().map(|programs| step("programs", trial::lines(programs))));
    steps.push(step("verdict", verdict(facts, explanation)));
    steps
}

fn flow_line(port: u16, flow: &FlowPart) -> String {
    let FlowPart { state, backend, source, expires_seconds } = flow;
    if *state == State::Foreign.label() {
        return format!("port {port} has a flow that is not Waggle's: its packets pass");
    }
    let expires = left(*expires_seconds);
    format!(
        "port {port} has a flow, {state}, to {backend} from {source}: its packets stay in it while the backend serves (S29), \
         and it is forgotten after {expires} without any"
    )
}

fn client(facts: &Facts, explanation: &Explanation) -> Vec<String> {
    let part = &explanation.client;
    let place = match part.from {
        "pod" => "is in a pod of this node",
        "node" => "is this node",
        _ => "is outside",
    };
    let by = match (&part.device, part.mode) {
        (Some(device), Some(Mode::Tc)) => format!("its packets come in by {device}, which TC serves"),
        (Some(device), Some(Mode::Xdp | Mode::XdpGeneric)) => {
            format!("its packets come in by {device}, which XDP serves")
        }
        (Some(device), None) => format!("its packets come in by {device}, which Waggle does not serve"),
        (None, _) if facts.client.sends_own_packets(facts.protocol) => {
            "its packets are translated where they leave".to_owned()
        }
        (None, _) => "by which device its packets come in is not known: no route leads to it".to_owned(),
    };
    let calls = if facts.protocol == Protocol::Udp { "connect() and sendto()" } else { "connect()" };
    let how = if part.hook == "socket" { format!("a program sees its {calls}") } else { by };
    vec![format!("{} {place}: {how}", part.address)]
}

fn frontend(facts: &Facts, explanation: &Explanation) -> Vec<String> {
    let to = &explanation.destination;
    let dialled = format!("{}/{}", super::facts::at(facts.dialled.address, to.port), to.protocol);
    let Some(frontend) = &explanation.frontend else {
        return vec![format!("{dialled} is none: {}", no_frontend(facts))];
    };
    let port = if frontend.port.is_empty() { String::new() } else { format!(", port {}", frontend.port) };
    let named =
        format!("{dialled} is a {} of Service {}/{}{port}", frontend.r#type, frontend.namespace, frontend.service);
    if facts.dialled.address.is_loopback() {
        return vec![named, "a process that listens at exactly this address is reached instead (F12)".to_owned()];
    }
    vec![named]
}

fn sources(explanation: &Explanation, part: &SourceRangesPart) -> Vec<String> {
    let Some(ranges) = &part.ranges else {
        let is_balanced = explanation.frontend.as_ref().is_some_and(|frontend| frontend.r#type == "LoadBalancer");
        let why =
            if is_balanced { "no source ranges are in force" } else { "source ranges are for load-balancer IPs only" };
        return vec![format!("every client is admitted: {why} (S21)")];
    };
    let listed = if ranges.is_empty() { "an empty list".to_owned() } else { ranges.join(", ") };
    let is_socket = explanation.client.hook == "socket";
    let subject = match explanation.client.from {
        "node" if is_socket => "this node's own address",
        "pod" if is_socket => "the range of all this node's pods",
        _ => "the client",
    };
    let (verb, end) = if part.admitted { ("is", "admitted") } else { ("is not", "refused") };
    let field = "spec.loadBalancerSourceRanges";
    vec![format!("{end}: {subject} {verb} inside {field}, {listed} (S21)")]
}

fn policy_lines(policy: &PolicyPart) -> Vec<String> {
    let PolicyPart { field, value, list, backends, .. } = policy;
    let why = match (policy.short_circuit, *list) {
        (true, _) => "since the client is on this node (S17)",
        (false, "Local") => "of this node (S14)",
        (false, _) => "of all nodes (S14)",
    };
    let count = match backends {
        0 => "it is empty".to_owned(),
        1 => "1 backend".to_owned(),
        many => format!("{many} backends"),
    };
    vec![format!("{field} {value}: the {list} list, {why}: {count}")]
}

fn affinity(part: Option<&AffinityPart>) -> String {
    let Some(part) = part else { return "none: each connection gets any backend of the list (S23)".to_owned() };
    let timeout = left(part.timeout_seconds);
    match (&part.backend, part.expires_seconds) {
        (Some(backend), Some(seconds)) => {
            format!("ClientIP: the client keeps {backend}, for {} unless it connects before (S24)", left(seconds))
        }
        _ if !part.known => format!(
            "ClientIP, {timeout}: whether the client keeps a backend is not known, since its network namespace was not found (S25)"
        ),
        _ => format!("ClientIP: the client has no backend yet; it keeps the one that it gets for {timeout} (S24)"),
    }
}

fn backends(candidates: &[CandidatePart]) -> Vec<String> {
    let width = candidates.iter().map(|candidate| candidate.backend.len()).max().unwrap_or_default();
    let line = |candidate: &CandidatePart| {
        let chance = if candidate.of == candidate.slots {
            "always".to_owned()
        } else {
            format!("{} in {}", candidate.slots, candidate.of)
        };
        let place = if candidate.local { "on this node" } else { "on another node" };
        format!("{:width$}  {chance}  {place}", candidate.backend)
    };
    shortened(candidates, line)
}

fn packets(explanation: &Explanation) -> Vec<String> {
    let is_socket = explanation.client.hook == "socket";
    let candidates = &explanation.candidates;
    let width = candidates.iter().map(|candidate| candidate.backend.len() + 3).max().unwrap_or_default();
    let line = |candidate: &CandidatePart| {
        let to = format!("to {}", candidate.backend);
        if let Some(reason) = candidate.refusal {
            return format!("{to:width$}  dropped: {reason}");
        }
        let source =
            if is_socket { "from the socket's own address (S26)".to_owned() } else { source(explanation, candidate) };
        format!("{to:width$}  {source}, {}", way(candidate))
    };
    shortened(candidates, line)
}

fn source(explanation: &Explanation, candidate: &CandidatePart) -> String {
    let from = candidate.source.as_deref().unwrap_or("?");
    if candidate.keeps_client_address {
        return format!("from {from}, the client's own (S26)");
    }
    let port = match (candidate.source_port, explanation.client.port) {
        (SourcePort::Kept, Some(port)) => format!("port {port} kept"),
        (SourcePort::Replaced, Some(port)) => format!("another port than {port}"),
        _ => "port kept if free".to_owned(),
    };
    format!("from {from}, this node's (S26), {port}")
}

fn way(candidate: &CandidatePart) -> String {
    match (&candidate.device, &candidate.next_hop) {
        (Some(device), Some(router)) => format!("by {device} via {router}"),
        (Some(device), None) => format!("by {device}"),
        (None, _) if candidate.has_route => "to this node itself".to_owned(),
        (None, _) => "no route leads there".to_owned(),
    }
}

fn shortened(candidates: &[CandidatePart], line: impl Fn(&CandidatePart) -> String) -> Vec<String> {
    let mut lines: Vec<String> = candidates.iter().take(SHOWN).map(line).collect();
    if candidates.len() > SHOWN {
        lines.push(format!("and {} more (-o json shows all)", candidates.len() - SHOWN));
    }
    lines
}

fn verdict(facts: &Facts, explanation: &Explanation) -> Vec<String> {
    let part = &explanation.verdict;
    let Some(reason) = part.reason else { return vec![format!("{}: {}", part.outcome, part.client_sees)] };
    let mut lines = vec![format!("{}, {reason}: {}", part.outcome, part.meaning.unwrap_or_default())];
    lines.push(format!("the client sees: {}", part.client_sees));
    let fault = [part.object.as_deref(), part.field.as_deref()];
    let fault: Vec<&str> = fault.into_iter().flatten().collect();
    if !fault.is_empty() {
        lines.push(format!("see: {}", fault.join(", ")));
    }
    lines.extend(part.since.as_ref().map(|time| since(facts, time)));
    lines.extend(part.advice.map(|advice| format!("do: {advice}")));
    lines
}

/// Says when the port last changed on this node, and how long ago that was.
fn since(facts: &Facts, time: &str) -> String {
    let seconds = facts.changed.map_or(0, |changed| facts.now.duration_since(changed).as_secs());
    let ago = age(seconds.unsigned_abs());
    format!("since: {time} ({ago} ago), the last change of the port's backends or source ranges on this node")
}
