//! The explanation of a connection: the object that `-o json` prints. Names and meanings of its fields are stable.

use serde::Serialize;

use crate::attach::Mode;

/// What would happen to a new connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The client.
    pub client: ClientPart,
    /// What it dials.
    pub destination: DestinationPart,
    /// The frontend that is dialled; `None` if it is none.
    pub frontend: Option<FrontendPart>,
    /// The source ranges of the frontend; `None` without one.
    pub source_ranges: Option<SourceRangesPart>,
    /// The traffic policy; `None` if the decision comes before it.
    pub policy: Option<PolicyPart>,
    /// Session affinity; `None` if the decision comes before it, or without affinity.
    pub affinity: Option<AffinityPart>,
    /// The flow that packets of this client's port belong to already; `None` if there is none, or no port is given.
    pub flow: Option<FlowPart>,
    /// The backends that the connection may get, and its way to each.
    pub candidates: Vec<CandidatePart>,
    /// What the loaded programs did with the first packet; `None` if no program sees packets of the client, or if they were not
    /// to be run.
    pub programs: Option<ProgramsPart>,
    /// The result.
    pub verdict: VerdictPart,
}

/// A client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientPart {
    /// Its address.
    pub address: String,
    /// Its port, if it was given.
    pub port: Option<u16>,
    /// `pod`, `node` or `outside`.
    pub from: &'static str,
    /// `socket` if a call of a process is translated, `packet` if packets are.
    pub hook: &'static str,
    /// The device by which packets come in; `None` for processes of the node, and where it is not known.
    pub device: Option<String>,
    /// How Waggle serves that device; `None` if it does not.
    pub mode: Option<Mode>,
}

/// A destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DestinationPart {
    /// The address.
    pub address: String,
    /// The port.
    pub port: u16,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
}

/// A frontend and its Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FrontendPart {
    /// `ClusterIP`, `NodePort`, `ExternalIP` or `LoadBalancer`.
    pub r#type: String,
    /// The Service's namespace.
    pub namespace: String,
    /// The Service's name.
    pub service: String,
    /// The port's name; empty for an unnamed port.
    pub port: String,
}

/// The clients that a frontend admits (S21).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceRangesPart {
    /// Whether this client is admitted.
    pub admitted: bool,
    /// The source ranges in force; `None` if every client is admitted.
    pub ranges: Option<Vec<String>>,
}

/// The traffic policy and the list that it leads to (S14).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyPart {
    /// The field of the Service.
    pub field: &'static str,
    /// The field's value: `Cluster` or `Local`.
    pub value: &'static str,
    /// The list that this client gets: `Cluster` or `Local`.
    pub list: &'static str,
    /// Whether the list differs from the policy, since the client is on this node (S17).
    pub short_circuit: bool,
    /// How many backends are in the list.
    pub backends: u32,
}

/// Session affinity (S24).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AffinityPart {
    /// The timeout in seconds.
    pub timeout_seconds: u32,
    /// Whether the client's memory could be looked up. A pod is known by its network namespace, which may not be found.
    pub known: bool,
    /// The backend that the client keeps; `None` if it gets one by chance.
    pub backend: Option<String>,
    /// In how many seconds the client may get another one; `None` without a backend.
    pub expires_seconds: Option<u32>,
}

/// A flow in the maps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowPart {
    /// The state, in the words of the metric `waggle_flows`.
    pub state: &'static str,
    /// The destination after translation: the backend.
    pub backend: String,
    /// The source after translation.
    pub source: String,
    /// In how many seconds the flow is forgotten if no packet comes.
    pub expires_seconds: u32,
}

/// A backend, and the way to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CandidatePart {
    /// Address and port: the destination after translation.
    pub backend: String,
    /// Whether the backend is on this node.
    pub local: bool,
    /// How many of `of` slots it has: its probability is `slots / of`.
    pub slots: u32,
    /// The number of slots.
    pub of: u32,
    /// The source address that the backend sees; `None` if this node has none to send from.
    pub source: Option<String>,
    /// Whether that is the client's own address.
    pub keeps_client_address: bool,
    /// What happens to the source port.
    pub source_port: SourcePort,
    /// Whether a route of the node leads to the backend.
    pub has_route: bool,
    /// The device by which packets to the backend leave; `None` if the backend is the node itself, or there is no route.
    pub device: Option<String>,
    /// The next router; `None` if the backend is reached directly.
    pub next_hop: Option<String>,
    /// Why this backend can't be sent to; `None` if it can.
    pub refusal: Option<&'static str>,
}

/// What happens to a client's source port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SourcePort {
    /// It stays.
    Kept,
    /// It stays if no other flow to the backend has it, and if source translation may use it. Otherwise another is found.
    KeptIfFree,
    /// Another one is found: source translation may not use this one, or another flow to the backend has it.
    Replaced,
}

/// What a copy of the loaded programs did with the first packet of the connection. If it was not run, all but `not_run` is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProgramsPart {
    /// The packet that was made.
    pub packet: Option<PacketPart>,
    /// The hooks that saw it, in this order: `xdp`, `tc`.
    pub hooks: Vec<&'static str>,
    /// The hook that decided.
    pub decided_by: Option<&'static str>,
    /// As in [`VerdictPart`], or `failed`.
    pub outcome: Option<&'static str>,
    /// The label of the reason that was counted, if the packet was refused.
    pub reason: Option<&'static str>,
    /// What goes back to the client: `RST` or `ICMP error`; `None` if nothing does.
    pub answer: Option<&'static str>,
    /// The packet after translation; `None` if it was not translated.
    pub translated: Option<TranslatedPart>,
    /// How the programs failed, in words.
    pub failure: Option<String>,
    /// In which ways the programs and the other parts disagree, in words: a bug of Waggle.
    pub disagreements: Vec<String>,
    /// Why the programs were not run, in words.
    pub not_run: Option<String>,
}

/// The first packet of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PacketPart {
    /// `SYN`, `datagram` or `INIT`.
    pub kind: &'static str,
    /// Address and port that it is from.
    pub source: String,
    /// Address and port that it is sent to.
    pub destination: String,
}

/// A packet after translation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TranslatedPart {
    /// Address and port that the backend sees.
    pub source: String,
    /// Address and port of the backend.
    pub destination: String,
    /// Whether it goes up the stack, as packets to backends on this node do. Otherwise the program sends it.
    pub to_stack: bool,
    /// The device that it is sent by; `None` if the kernel has still to find the neighbour.
    pub device: Option<String>,
}

/// The result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerdictPart {
    /// `served`, `passes`, `rejected` or `dropped`.
    pub outcome: &'static str,
    /// In words, what the client sees.
    pub client_sees: String,
    /// The label of the reason, as in `waggle get drops`; `None` if the connection is not refused.
    pub reason: Option<&'static str>,
    /// The reason in words.
    pub meaning: Option<&'static str>,
    /// The rule of docs/semantics.md.
    pub rule: Option<&'static str>,
    /// The Kubernetes object at fault.
    pub object: Option<String>,
    /// The field of that object.
    pub field: Option<String>,
    /// Since when it has been refused at the latest, in RFC 3339: when the port's backends or source ranges last changed on this
    /// node. `None` if that is not known, or does not matter for the reason.
    pub since: Option<String>,
    /// What to do.
    pub advice: Option<&'static str>,
}
