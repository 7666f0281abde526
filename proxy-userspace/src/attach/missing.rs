//! The hooks that lack their programs, for the agent's status and Events. Attaches nothing.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The kind of place that lacks a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttachPoint {
    /// A hook of the cgroup. Its name is the hook's.
    Cgroup,
    /// A device that should be served for clients outside. Its name is the device's.
    Device,
    /// A device of a pod. Such devices come and go, so they are counted, but one of them is no reason to call the node unhealthy.
    Pod,
}

impl AttachPoint {
    /// Whether the node is unhealthy for as long as such a place lacks its program.
    fn is_vital(self) -> bool {
        self != Self::Pod
    }
}

/// The hooks and devices that lack their programs now. Clones share the state.
#[derive(Clone, Debug, Default)]
pub struct Missing(Arc<Mutex<BTreeMap<(AttachPoint, String), MissingProgram>>>);

/// A hook or device that lacks its program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingHook {
    /// The kind of place.
    pub place: AttachPoint,
    /// The name of the hook or device.
    pub name: String,
    /// For how long.
    pub duration: Duration,
    /// Why.
    pub reason: String,
}

/// Since when a hook or device lacks its program, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
struct MissingProgram {
    since: Instant,
    reason: String,
}

impl Missing {
    /// Replaces what lacks its program in one kind of place. `found` has the reasons by name. Returns the names that are new, or
    /// whose reason has changed.
    pub(crate) fn replace(&self, place: AttachPoint, found: BTreeMap<String, String>, now: Instant) -> Vec<String> {
        let mut all = self.all();
        all.retain(|(other, name), _| *other != place || found.contains_key(name));
        let mut changed = Vec::new();
        for (name, reason) in found {
            let entry = all
                .entry((place, name.clone()))
                .or_insert_with(|| MissingProgram { since: now, reason: String::new() });
            if entry.reason != reason {
                entry.reason = reason;
                changed.push(name);
            }
        }
        changed
    }

    /// Returns how many hooks of the cgroup, and devices for clients outside, lack their programs.
    pub fn count(&self) -> usize {
        self.all().keys().filter(|(place, _)| place.is_vital()).count()
    }

    /// Returns everything that lacks its program at `now`, by place and name.
    pub fn list(&self, now: Instant) -> Vec<MissingHook> {
        let hook = |((place, name), entry): (&(AttachPoint, String), &MissingProgram)| MissingHook {
            place: *place,
            name: name.clone(),
            duration: now.saturating_duration_since(entry.since),
            reason: entry.reason.clone(),
        };
        self.all().iter().map(hook).collect()
    }

    /// Returns how many devices of pods lack their programs.
    pub fn pods(&self) -> usize {
        self.all().keys().filter(|(place, _)| !place.is_vital()).count()
    }

    /// Returns a sentence for each that has lacked its program for longer than `limit`, devices of pods excepted: what follows, and
    /// what to do.
    pub fn missing_longer_than(&self, limit: Duration, now: Instant) -> Vec<String> {
        let duration = |entry: &MissingProgram| now.saturating_duration_since(entry.since);
        let all = self.all();
        let lasting = all.iter().filter(|((place, _), entry)| place.is_vital() && duration(entry) > limit);
        lasting
            .map(|((place, name), entry)| {
                Sentence { place: *place, name, entry, duration: duration(entry) }.to_string()
            })
            .collect()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<(AttachPoint, String), MissingProgram>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sentence about one hook or device.
struct Sentence<'a> {
    place: AttachPoint,
    name: &'a str,
    entry: &'a MissingProgram,
    duration: Duration,
}

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, reason, seconds) = (self.name, &self.entry.reason, self.duration.as_secs());
        match self.place {
            AttachPoint::Cgroup => write!(
                f,
                "hook {name} of the cgroup has had no program for {seconds} s, so processes on this node may not reach Services \
                 (remove the cause; if this stays, restart the agent): {reason}"
            ),
            AttachPoint::Device | AttachPoint::Pod => write!(
                f,
                "device {name} has not been served for {seconds} s, so packets that arrive on it reach no Service (remove the \
                 cause, or name the devices to serve with --devices): {reason}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT_LIMIT: Duration = Duration::from_mins(1);

    fn found(found: &[(&str, &str)]) -> BTreeMap<String, String> {
        found.iter().map(|(name, reason)| ((*name).to_owned(), (*reason).to_owned())).collect()
    }

    #[test]
    fn s32_what_lacks_its_program_for_long_is_named_until_it_is_there() {
        let (missing, start) = (Missing::default(), Instant::now());
        let later = start + WAIT_LIMIT + Duration::from_secs(1);
        assert_eq!(missing.replace(AttachPoint::Device, found(&[("eth0", "busy")]), start), ["eth0"]);
        assert_eq!(missing.replace(AttachPoint::Cgroup, found(&[("connect4", "gone")]), later), ["connect4"]);
        assert_eq!(missing.count(), 2);
        let listed: Vec<_> = missing.list(later).into_iter().map(|hook| (hook.name, hook.duration)).collect();
        let eth0 = ("eth0".to_owned(), WAIT_LIMIT + Duration::from_secs(1));
        assert_eq!(listed, [("connect4".to_owned(), Duration::ZERO), eth0]);
        assert!(
            missing.missing_longer_than(WAIT_LIMIT, start + WAIT_LIMIT).is_empty(),
            "for a while it may be missing"
        );
        let sentences = missing.missing_longer_than(WAIT_LIMIT, later);
        assert!(
            sentences.len() == 1 && sentences[0].starts_with("device eth0 has not been served for 61 s"),
            "{sentences:?}"
        );
        assert!(sentences[0].contains("--devices") && sentences[0].ends_with(": busy"), "{sentences:?}");
        missing.replace(AttachPoint::Device, BTreeMap::new(), later);
        let sentences = missing.missing_longer_than(WAIT_LIMIT, later + WAIT_LIMIT * 2);
        assert!(sentences.len() == 1 && sentences[0].starts_with("hook connect4 of the cgroup"), "{sentences:?}");
        missing.replace(AttachPoint::Cgroup, BTreeMap::new(), later);
        assert_eq!(missing.count(), 0);
    }

    #[test]
    fn s32_devices_of_pods_are_counted_and_make_no_node_unhealthy() {
        let (missing, start) = (Missing::default(), Instant::now());
        missing.replace(AttachPoint::Pod, found(&[("tap1", "no room"), ("tap2", "no room")]), start);
        missing.replace(AttachPoint::Device, found(&[("eth0", "no room")]), start);
        assert_eq!((missing.count(), missing.pods()), (1, 2));
        let sentences = missing.missing_longer_than(WAIT_LIMIT, start + WAIT_LIMIT * 2);
        assert!(sentences.len() == 1 && sentences[0].starts_with("device eth0"), "{sentences:?}");
        missing.replace(AttachPoint::Pod, BTreeMap::new(), start);
        assert_eq!((missing.count(), missing.pods()), (1, 0));
    }

    #[test]
    fn another_reason_is_news_and_no_new_beginning() {
        let (missing, start) = (Missing::default(), Instant::now());
        let later = start + WAIT_LIMIT * 2;
        missing.replace(AttachPoint::Cgroup, found(&[("connect4", "gone")]), start);
        assert!(missing.replace(AttachPoint::Cgroup, found(&[("connect4", "gone")]), later).is_empty());
        assert_eq!(missing.replace(AttachPoint::Cgroup, found(&[("connect4", "busy")]), later), ["connect4"]);
        assert_eq!(missing.missing_longer_than(WAIT_LIMIT, later).len(), 1, "since the first");
    }
}
