//! Makes the report from the agent's status and from what was read of the data plane. Pure.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use proxy_common::MAPS;

use super::report::{
    AgentReport, DeviceReport, Health, HookReport, InForce, LogReport, MapReport, MissingReport, RefusedReport,
    SkippedReport, SourceReport, StatusReport, WatchReport,
};
use crate::{
    agent::status::Status,
    attach::{AttachPoint, Attached, MissingHook},
    logging::recent::RecentLine,
    objects::Kind,
    watch::contact::Contact,
};

/// What does not change while an agent runs.
#[derive(Clone, Debug)]
pub(in crate::server) struct Identity {
    /// The name of the instance.
    pub(in crate::server) instance: String,
    /// The name of the Node object.
    pub(in crate::server) node_name: String,
    /// The folder of manifests, if that is the source.
    pub(in crate::server) folder: Option<PathBuf>,
    /// When the agent started.
    pub(in crate::server) started: SystemTime,
}

/// What was read for a report, beside the status.
#[derive(Clone, Debug, Default)]
pub(super) struct Observed {
    /// The hooks, as the pins say.
    pub(super) attached: Attached,
    /// How full the maps are.
    pub(super) maps: Vec<MapReport>,
    /// The last lines of the log.
    pub(super) log: Vec<RecentLine>,
}

impl StatusReport {
    /// Returns the report of an agent.
    pub(super) fn of_agent(
        identity: &Identity,
        status: &Status,
        observed: Observed,
        (now, time): (Instant, SystemTime),
    ) -> Self {
        let missing = status.missing.list(now);
        let (health, reasons) = health(status, &missing, now);
        let size = &status.size;
        Self {
            instance: identity.instance.clone(),
            time: time.into(),
            health,
            reasons,
            agent: Some(agent(identity, status, &observed.log, (now, time))),
            in_force: InForce {
                services: size.services,
                service_ports: size.ports,
                frontends: size.frontends,
                backends: size.backends,
            },
            hooks: hooks(&observed.attached, &missing),
            devices: devices(&observed.attached, &missing),
            maps: observed.maps,
        }
    }
}

/// Returns how well an agent is, and why it is not better.
fn health(status: &Status, missing: &[MissingHook], now: Instant) -> (Health, Vec<String>) {
    let mut reasons = status.problems(now);
    let is_healthy = reasons.is_empty();
    for (error, refused) in status.refused.iter() {
        reasons.push(format!("not in force ({}, the first: {}): {error}", refused.parts, refused.first));
    }
    // Those that lack their programs for longer are problems.
    let recent = missing.len().saturating_sub(status.long_missing(now).len());
    if recent != 0 {
        reasons.push(format!("hooks and devices have just lost their programs: {recent}"));
    }
    reasons.extend(
        status.blocked.by_service(&status.checks).into_iter().map(|(service, text)| format!("{service}: {text}")),
    );
    let health = match (is_healthy, reasons.is_empty()) {
        (true, true) => Health::Healthy,
        (true, false) => Health::Degraded,
        (false, _) => Health::Unhealthy,
    };
    (health, reasons)
}

fn agent(identity: &Identity, status: &Status, log: &[RecentLine], (now, time): (Instant, SystemTime)) -> AgentReport {
    let age = status.applied.map(|applied| time.duration_since(applied).unwrap_or_default());
    AgentReport {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        node_name: identity.node_name.clone(),
        node_eligible: status.eligible,
        started: identity.started.into(),
        generation: status.generation,
        last_applied: status.applied.map(Into::into),
        last_applied_age_seconds: age.map(|age| age.as_secs()),
        source: source(identity, status, now),
        not_in_force: refused(status),
        skipped_fields: status.skipped.values().sum(),
        skipped: skipped(status),
        last_errors: log.iter().map(line).collect(),
    }
}

fn source(identity: &Identity, status: &Status, now: Instant) -> SourceReport {
    let Some(contact) = &status.contact else {
        let path = identity.folder.as_ref().map(|path| path.display().to_string());
        return SourceReport::Folder { path: path.unwrap_or_default() };
    };
    SourceReport::ApiServer {
        silence_limit_seconds: status.silence.as_ref().map(Duration::as_secs),
        watches: Kind::ALL.map(|kind| watch(contact, kind, now)).into(),
        responses: responses(contact),
    }
}

fn watch(contact: &Contact, kind: Kind, now: Instant) -> WatchReport {
    WatchReport {
        kind: kind.to_string(),
        age_seconds: contact.age(kind, now).as_secs(),
        lists: contact.lists(kind),
        unreadable: contact.unreadable(kind),
    }
}

fn responses(contact: &Contact) -> BTreeMap<String, u64> {
    let word = |code: Option<u16>| code.map_or_else(|| "error".to_owned(), |code| code.to_string());
    contact.responses().into_iter().map(|(code, count)| (word(code), count)).collect()
}

fn refused(status: &Status) -> Vec<RefusedReport> {
    let report = |(error, refused): (&String, &crate::agent::refusals::Refused)| RefusedReport {
        error: error.clone(),
        map: named_map(error).map(str::to_owned),
        parts: refused.parts,
        first: refused.first.clone(),
    };
    status.refused.iter().map(report).collect()
}

/// Returns the map whose name is a word of the text.
fn named_map(text: &str) -> Option<&'static str> {
    let mut words = text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    words.find_map(|word| MAPS.iter().map(|map| map.name).find(|name| *name == word))
}

fn skipped(status: &Status) -> Vec<SkippedReport> {
    let fields = status.skipped_fields.iter();
    let report = |field: &crate::model::diagnostic::Diagnostic| SkippedReport {
        object: field.object.to_string(),
        field: field.field.clone(),
        reason: field.reason.clone(),
    };
    fields.map(report).collect()
}

fn line(line: &RecentLine) -> LogReport {
    let level = if line.is_error { "error" } else { "warning" };
    LogReport { time: super::time::Time(line.time), level: level.to_owned(), message: line.text.clone() }
}

/// Returns the cgroup's hooks. What the agent can't attach counts as missing even if the pin is there.
pub fn hooks(attached: &Attached, missing: &[MissingHook]) -> Vec<HookReport> {
    let report = |(name, is_attached): &(&'static str, bool)| {
        let lacks = missing.iter().find(|hook| hook.place == AttachPoint::Cgroup && hook.name == *name);
        HookReport {
            name: (*name).to_owned(),
            attached: *is_attached && lacks.is_none(),
            missing: lacks.map(missing_report),
        }
    };
    attached.hooks.iter().map(report).collect()
}

fn missing_report(hook: &MissingHook) -> MissingReport {
    MissingReport { missing_seconds: hook.duration.as_secs(), reason: hook.reason.clone() }
}

/// Returns the devices that have programs, and those that should have.
pub fn devices(attached: &Attached, missing: &[MissingHook]) -> Vec<DeviceReport> {
    let lacking = || missing.iter().filter(|hook| hook.place == AttachPoint::Device);
    let report = |name: &str, mode, is_attached| {
        let lacks = lacking().find(|hook| hook.name == name);
        DeviceReport {
            name: name.to_owned(),
            mode,
            attached: is_attached && lacks.is_none(),
            missing: lacks.map(missing_report),
        }
    };
    let known = |name: &str| attached.devices.iter().any(|device| device.name == name);
    let pinned = attached.devices.iter().map(|device| report(&device.name, Some(device.mode), device.is_attached));
    pinned.chain(lacking().filter(|hook| !known(&hook.name)).map(|hook| report(&hook.name, None, false))).collect()
}

#[cfg(test)]
mod tests;
