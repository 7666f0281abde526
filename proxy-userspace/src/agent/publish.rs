//! How the agent publishes its [`Status`], and reports removed backends.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Instant, SystemTime},
};

use jiff::Timestamp;

use super::{
    Agent,
    checks::HealthByPort,
    reconcile::PhaseTimes,
    status::{EXAMPLES, Status},
};
use crate::desired::Family;

impl Agent {
    /// Changes the published status without waking its readers.
    pub(super) fn note(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_if_modified(|status| {
            change(status);
            status.alive = Instant::now();
            false
        });
    }

    /// Publishes what is in force now. Readers are woken only if a health check has changed.
    pub(super) fn publish(&mut self, checks: Option<HealthByPort>, (started, took): (Instant, PhaseTimes)) {
        let refused = self.refusals.current();
        let skipped_fields = self.diagnostics.first(EXAMPLES);
        let changes = self.triggers.in_force(&(&self.refused | &self.waiting), Timestamp::now());
        self.status.send_if_modified(|status| {
            status.alive = Instant::now();
            status.size = self.dataplane.size();
            status.failing = self.failing;
            status.eligible = self.model.is_eligible();
            if *status.refused != *refused {
                status.refused = Arc::new(refused.clone());
            }
            if status.generation != self.generation {
                status.generation = self.generation;
                if self.failing.is_none() {
                    status.applied = Some(SystemTime::now());
                }
                status.durations.plans.add(started.elapsed());
                status.durations.note_phases(took);
            }
            for (family, took) in changes {
                status.durations.changes[usize::from(family == Family::Ipv6)].add(took);
            }
            status.events.clone_into(&mut status.events_served);
            self.diagnostics.counts().clone_into(&mut status.skipped);
            if *status.skipped_fields != *skipped_fields {
                status.skipped_fields = skipped_fields.into();
            }
            status.no_local = self.no_local.sum();
            let has_changed = checks.as_ref().is_some_and(|checks| *checks != status.checks);
            status.checks = checks.unwrap_or_else(|| Arc::clone(&status.checks));
            has_changed
        });
    }

    /// Publishes what health checks ask for, before anything is in force: until then the response is 503.
    pub(super) fn publish_checks(&mut self) {
        let checks = self.model.health_checks();
        let services = checks.keys().cloned().collect();
        if let Some(checks) = self.checks.update(&services, checks, &BTreeSet::new()) {
            self.status.send_modify(|status| status.checks = Arc::new(checks));
        }
    }

    /// Says by Events what others have found out.
    pub(super) fn announce(&mut self, now: Instant) {
        let status = self.status.borrow();
        self.announcer.missing(&status.long_missing(now), now);
        self.announcer.blocked(&status.blocked.by_service(&status.checks), now);
        status.stale.report(|note| self.announcer.stale(note, now));
    }
}
