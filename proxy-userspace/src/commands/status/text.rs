//! Formats a status for people: one section below the other, with aligned titles. Pure.

use std::cmp::Reverse;

use crate::{
    commands::age::age,
    server::status::{
        AgentReport, DeviceReport, Health, HookReport, LogReport, MapReport, MissingReport, SkippedReport,
        SourceReport, StatusReport, WatchReport,
    },
};

/// How many maps, skipped fields, and lines of the log are shown, unless all are asked for.
const MAPS: usize = 5;
const SKIPPED: usize = 3;
const LOG: usize = 3;
/// How many devices are named, unless all are asked for.
const DEVICES: usize = 8;
/// The width of titles, with the gap behind them.
const WIDTH: usize = 12;

/// How the text looks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Style {
    /// Shows everything instead of the first few.
    pub(super) is_wide: bool,
    /// Colours the health.
    pub(super) is_coloured: bool,
}

impl Style {
    fn limit(self, limit: usize) -> usize {
        if self.is_wide { usize::MAX } else { limit }
    }
}

/// Returns the text. Every line ends with a newline.
pub(super) fn text(report: &StatusReport, style: Style) -> String {
    let agent = report.agent.as_ref();
    let mut health = vec![health(report.health, style)];
    health.extend(report.reasons.iter().map(|reason| format!("- {reason}")));
    let mut sections = vec![("Instance", vec![instance(report)]), ("Health", health)];
    sections.extend(agent.map(|agent| ("Source", source(&agent.source))));
    sections.push(("In force", in_force(report)));
    sections.push(("Hooks", hooks(&report.hooks)));
    sections.push(("Devices", devices(&report.devices, style.limit(DEVICES))));
    sections.push(("Maps", maps(&report.maps, style.limit(MAPS))));
    if let Some(agent) = agent {
        sections.push(("Skipped", skipped(agent, style.limit(SKIPPED))));
        sections.push(("Log", log(&agent.last_errors, style.limit(LOG))));
    }
    let lines = sections.iter().flat_map(|(title, lines)| section(title, lines));
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

fn section(title: &str, lines: &[String]) -> Vec<String> {
    let titles = [title].into_iter().chain(std::iter::repeat(""));
    lines.iter().zip(titles).map(|(line, title)| format!("{title:WIDTH$}{line}")).collect()
}

fn health(health: Health, Style { is_coloured, .. }: Style) -> String {
    let (word, colour) = match health {
        Health::Healthy => ("healthy", 32),
        Health::Degraded => ("degraded", 33),
        Health::Unhealthy => ("unhealthy", 31),
    };
    if is_coloured { format!("\x1b[{colour}m{word}\x1b[0m") } else { word.to_owned() }
}

fn instance(report: &StatusReport) -> String {
    let Some(agent) = &report.agent else { return format!("{}, no agent answers", report.instance) };
    let uptime = report.time.0.duration_since(agent.started.0).as_secs();
    let uptime = age(u64::try_from(uptime).unwrap_or_default());
    let eligible = if agent.node_eligible { "" } else { ", which load balancers skip: it is about to be removed" };
    let AgentReport { version, node_name, started, .. } = agent;
    format!("{}, agent {version} since {started} ({uptime}), node {node_name}{eligible}", report.instance)
}

fn source(source: &SourceReport) -> Vec<String> {
    let SourceReport::ApiServer { silence_limit_seconds, watches, .. } = source else {
        let SourceReport::Folder { path } = source else { return Vec::new() };
        return vec![format!("folder {path}")];
    };
    let limit = silence_limit_seconds.map_or_else(String::new, |limit| format!(", unhealthy after {}", age(limit)));
    let watch = |watch: &WatchReport| format!("{} {} ago", watch.kind, age(watch.age_seconds));
    let heard = watches.iter().map(watch).collect::<Vec<_>>().join(", ");
    let mut lines = vec![format!("API server, last heard of {heard}{limit}")];
    let unreadable = watches.iter().filter(|watch| watch.unreadable != 0);
    lines.extend(unreadable.map(|watch| format!("{} of {} can't be read", watch.unreadable, watch.kind)));
    lines
}

fn in_force(report: &StatusReport) -> Vec<String> {
    let size = &report.in_force;
    let size = [
        (size.services, "Service"),
        (size.service_ports, "service port"),
        (size.frontends, "frontend"),
        (size.backends, "backend"),
    ];
    let mut lines = vec![size.map(|(count, what)| plural(count, what)).join(", ")];
    lines.extend(report.agent.as_ref().map(|agent| match (agent.last_applied, agent.last_applied_age_seconds) {
        (Some(time), Some(seconds)) => {
            format!("generation {}, applied {time} ({} ago)", agent.generation, age(seconds))
        }
        _ => "nothing has been applied yet".to_owned(),
    }));
    lines
}

fn hooks(hooks: &[HookReport]) -> Vec<String> {
    let attached = hooks.iter().filter(|hook| hook.attached).count();
    let missing = hooks.iter().filter(|hook| !hook.attached).map(|hook| lacking(&hook.name, hook.missing.as_ref()));
    [format!("{attached} of {} attached", hooks.len())].into_iter().chain(missing).collect()
}

fn devices(devices: &[DeviceReport], limit: usize) -> Vec<String> {
    let (served, lost): (Vec<_>, Vec<_>) = devices.iter().partition(|device| device.attached);
    let word = |device: &&DeviceReport| match device.mode {
        Some(mode) => format!("{} {mode}", device.name),
        None => device.name.clone(),
    };
    let mut names: Vec<_> = served.iter().take(limit).map(word).collect();
    if served.len() > names.len() {
        names.push(format!("{} more", served.len() - names.len()));
    }
    let first = if names.is_empty() { "none is served".to_owned() } else { names.join(", ") };
    let lost = lost.into_iter().map(|device| lacking(&device.name, device.missing.as_ref()));
    [first].into_iter().chain(lost).collect()
}

/// Says that a hook or device lacks its program.
fn lacking(name: &str, missing: Option<&MissingReport>) -> String {
    match missing {
        Some(MissingReport { missing_seconds, reason }) => {
            format!("- {name} is missing for {}: {reason}", age(*missing_seconds))
        }
        None => format!("- {name} is missing"),
    }
}

fn maps(maps: &[MapReport], limit: usize) -> Vec<String> {
    let mut fullest: Vec<&MapReport> = maps.iter().collect();
    fullest.sort_by_key(|map| (Reverse(map.full_percent), Reverse(map.entries), map.name.clone()));
    let line = |map: &&MapReport| {
        let MapReport { name, entries, capacity, limit, full_percent } = map;
        let grows = limit.filter(|limit| limit > capacity);
        let grows = grows.map_or_else(String::new, |limit| format!(", grows up to {limit}"));
        format!("{name:20}{full_percent:>3} %   {entries} of {capacity}{grows}")
    };
    let lines: Vec<_> = fullest.iter().take(limit).map(line).collect();
    if lines.is_empty() { vec!["unknown".to_owned()] } else { lines }
}

fn skipped(agent: &AgentReport, limit: usize) -> Vec<String> {
    let line = |SkippedReport { object, field, reason }: &SkippedReport| format!("- {object} {field}: {reason}");
    let lines = agent.skipped.iter().take(limit).map(line);
    [plural(agent.skipped_fields, "field")].into_iter().chain(lines).collect()
}

/// The last lines of the log, the newest last.
fn log(lines: &[LogReport], limit: usize) -> Vec<String> {
    let line = |LogReport { time, level, message }: &LogReport| format!("{time} {level}: {message}");
    let shown: Vec<_> = lines.iter().skip(lines.len().saturating_sub(limit)).map(line).collect();
    if shown.is_empty() { vec!["no warning and no error since the start".to_owned()] } else { shown }
}

fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
