//! The report that `/status` and `waggle status` give. Plain values; `summary.rs` and `commands/status` fill them in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::time::Time;
use crate::attach::Mode;

/// How well an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Health {
    /// Everything is served.
    Healthy,
    /// The agent works, as `/livez` says, but some of what the cluster wants is not served.
    Degraded,
    /// `/livez` responds 503, or there is no agent.
    Unhealthy,
}

/// The status of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusReport {
    /// The instance's name.
    pub instance: String,
    /// When the report was made.
    pub time: Time,
    /// How well the instance is.
    pub health: Health,
    /// Why it is not healthy, in a sentence each.
    pub reasons: Vec<String>,
    /// What only the agent knows; absent if none answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentReport>,
    /// How much is in force.
    pub in_force: InForce,
    /// The hooks of the cgroup.
    pub hooks: Vec<HookReport>,
    /// The devices that are served, or should be.
    pub devices: Vec<DeviceReport>,
    /// The maps whose number of entries changes.
    pub maps: Vec<MapReport>,
}

/// What an agent knows of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentReport {
    /// Its version.
    pub version: String,
    /// The name of its Node object.
    pub node_name: String,
    /// Whether load balancers may send packets to the node.
    pub node_eligible: bool,
    /// When it started.
    pub started: Time,
    /// How many plans it has written.
    pub generation: u64,
    /// When the last plan came into force; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_applied: Option<Time>,
    /// The time since then, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_applied_age_seconds: Option<u64>,
    /// Where its objects come from.
    pub source: SourceReport,
    /// The parts of the last plan that are not in force, by error.
    pub not_in_force: Vec<RefusedReport>,
    /// How many fields of objects are not served.
    pub skipped_fields: usize,
    /// The first of them.
    pub skipped: Vec<SkippedReport>,
    /// The last warnings and errors of its log, the oldest first.
    pub last_errors: Vec<LogReport>,
}

/// A source of objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum SourceReport {
    /// An API server.
    ApiServer {
        /// For how many seconds it may be silent before the agent is unhealthy; absent for no limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        silence_limit_seconds: Option<u64>,
        /// The watch of each kind of objects.
        watches: Vec<WatchReport>,
        /// Numbers of responses by code; `error` where no response came.
        responses: BTreeMap<String, u64>,
    },
    /// A folder of manifests.
    Folder {
        /// Its path.
        path: String,
    },
}

/// The watch of a kind of objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WatchReport {
    /// The kind.
    pub kind: String,
    /// Seconds since the API server last sent anything for it.
    pub age_seconds: u64,
    /// How often all objects were listed.
    pub lists: u64,
    /// How many objects can't be read.
    pub unreadable: u64,
}

/// How much is in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InForce {
    /// How many Services.
    pub services: usize,
    /// How many service ports; one of both families counts twice.
    pub service_ports: usize,
    /// How many frontends.
    pub frontends: usize,
    /// How many backends.
    pub backends: usize,
}

/// What keeps a hook or device without its program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MissingReport {
    /// For how many seconds attaching has failed.
    pub missing_seconds: u64,
    /// Why.
    pub reason: String,
}

/// A hook of the cgroup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookReport {
    /// Its name.
    pub name: String,
    /// Whether it has its program.
    pub attached: bool,
    /// Since when and why the agent can't attach it; no fields if it has not tried.
    #[serde(flatten)]
    pub missing: Option<MissingReport>,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceReport {
    /// Its name.
    pub name: String,
    /// How it is served; absent if it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Whether it has its programs.
    pub attached: bool,
    /// Since when and why the agent can't serve it; no fields if it has not tried.
    #[serde(flatten)]
    pub missing: Option<MissingReport>,
}

/// How full a map is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MapReport {
    /// Its name in the eBPF object.
    pub name: String,
    /// How many entries it has.
    pub entries: u64,
    /// How many entries it has room for now.
    pub capacity: u64,
    /// How many it may get room for; absent if no agent answers, and for maps that can't grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// How full it is now, in percent.
    pub full_percent: u64,
}

impl MapReport {
    /// Returns the report of a map.
    pub fn new(name: &str, entries: u64, capacity: u64, limit: Option<u64>) -> Self {
        Self { name: name.to_owned(), entries, capacity, limit, full_percent: entries * 100 / capacity.max(1) }
    }
}

/// Parts of a plan that one error keeps from coming into force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedReport {
    /// The error.
    pub error: String,
    /// The map that the error names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<String>,
    /// How many Services and networks are not fully in force.
    pub parts: usize,
    /// The first of them.
    pub first: String,
}

/// A field of an object that is not served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SkippedReport {
    /// The object's kind and name.
    pub object: String,
    /// The field's path in the object.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogReport {
    /// When it was logged.
    pub time: Time,
    /// `warning` or `error`.
    pub level: String,
    /// The message, with its fields.
    pub message: String,
}
