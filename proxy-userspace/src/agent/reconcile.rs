//! Brings changes into force: projects the touched part of the model, plans, applies, and reports the outcome.

use std::{
    collections::{BTreeMap, BTreeSet},
    slice,
    sync::Arc,
    time::{Duration, Instant},
};

use proxy_common::Protocol;
use tracing::{debug, info};

use super::{Agent, retry::Retry};
use crate::{
    apply::{Applied, ApplyError, Size},
    desired::{ServiceName, plan::plan},
    logging::errors::Report,
    model::{Touched, health::Check},
};

/// How long the phases of a plan took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PhaseTimes {
    /// Taking events into the model, and projecting the wanted table.
    pub(super) model: Duration,
    /// Computing the difference of wanted and present table.
    pub(super) plan: Duration,
    /// Writing the difference into the maps.
    pub(super) apply: Duration,
}

/// The parts of the model that a plan covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Parts that have changed.
    Changes,
    /// Parts that have changed or were refused.
    Everything,
}

/// The input of one reconciliation.
#[derive(Debug)]
struct Task {
    touched: Touched,
    /// Whether everything that is not in force is retried. Only then are the refusals counted from zero.
    is_retry: bool,
    /// Services that are among the refusals already.
    counted: BTreeSet<ServiceName>,
    /// Whether something was refused before.
    was_degraded: bool,
}

/// The results of one reconciliation so far.
#[derive(Default)]
struct Reconciled {
    /// `None` if there was nothing to write.
    outcome: Option<Applied>,
    checks: BTreeMap<ServiceName, Check>,
    took: PhaseTimes,
}

impl Agent {
    /// Plans and writes what has changed, or everything that is not in force.
    pub(super) fn reconcile(&mut self, scope: Scope) {
        let started = Instant::now();
        let task = self.take_task(scope);
        let (ipv4, ipv6) = self.model.own_addresses();
        if let Err(error) = self.dataplane.set_node_addresses(ipv4, ipv6) {
            if task.is_retry || !self.refused_networks {
                self.refusals.add("the source address of what is forwarded", Report(&error));
            }
            self.refused_networks = true;
        }
        let mut reconciled = Reconciled::default();
        // The first plan is made in parts: this agent has nothing in force yet that one part could take from another.
        let parts = if self.generation == 0 { task.touched.parts() } else { Vec::new() };
        for part in if parts.is_empty() { slice::from_ref(&task.touched) } else { &parts } {
            self.apply_part(part, &mut reconciled, task.is_retry, started);
        }
        self.warn_wrong_name();
        if let Some(outcome) = reconciled.outcome {
            self.generation += 1;
            self.report(outcome, &task, started);
        }
        if !self.is_degraded() {
            // A change may have replaced or removed the last part that was refused; then no retry clears the refusals.
            self.refusals.begin();
            self.failing = None;
        }
        let not_in_force = &self.refused | &self.waiting;
        let checks = self.checks.update(&task.touched.services, reconciled.checks, &not_in_force);
        self.no_local.update(&task.touched.services, self.dataplane.table());
        self.publish(checks.map(Arc::new), (started, reconciled.took));
        self.log_and_announce(started);
    }

    /// Projects a part of the model, plans it, and writes the plan.
    fn apply_part(&mut self, part: &Touched, reconciled: &mut Reconciled, is_retry: bool, now: Instant) {
        let projected = Instant::now();
        let projection = self.model.project(part);
        for (object, diagnostics) in projection.diagnostics {
            let service = projection.services.get(&object);
            for diagnostic in self.diagnostics.replace(&object, service, diagnostics) {
                self.announcer.skipped(&diagnostic, service, now);
            }
        }
        // Never reset while this agent runs: associations outlive their Service.
        if projection.table.has(Protocol::Sctp) {
            self.sctp.send_if_modified(|sctp| !std::mem::replace(sctp, true));
        }
        reconciled.checks.extend(projection.checks);
        reconciled.took.model += std::mem::take(&mut self.modelling) + projected.elapsed();
        let planned = Instant::now();
        let before = part.part_of(self.dataplane.table());
        let plan = plan(&before, &projection.table);
        drop((before, projection.table));
        reconciled.took.plan += planned.elapsed();
        if !plan.is_empty() || is_retry || self.generation == 0 {
            let applied = Instant::now();
            let outcome = self.dataplane.apply(plan);
            reconciled.outcome.get_or_insert_default().add(outcome);
            reconciled.took.apply += applied.elapsed();
        }
    }

    fn take_task(&mut self, scope: Scope) -> Task {
        let mut touched = self.model.take_touched();
        let was_degraded = self.is_degraded();
        // A plan that touches networks contains all of them.
        let is_retry = scope == Scope::Everything || touched.networks && self.refused_networks;
        let mut counted = BTreeSet::new();
        if is_retry {
            self.refusals.begin();
            touched.services.append(&mut self.refused);
            touched.networks |= std::mem::take(&mut self.refused_networks);
        } else {
            counted.extend(touched.services.iter().filter_map(|service| self.refused.take(service)));
        }
        self.waiting.retain(|service| !touched.services.contains(service));
        Task { touched, is_retry, counted, was_degraded }
    }

    /// Logs and announces as Events what is new, and what earlier calls had no line left for.
    pub(super) fn log_and_announce(&mut self, now: Instant) {
        self.diagnostics.log(now);
        self.announcer.applied(&(&self.refused | &self.waiting), self.refusals.current(), now);
        self.refusals.log(now);
    }

    fn report(&mut self, outcome: Applied, task: &Task, started: Instant) {
        let mut errors = outcome.refused.values().chain(outcome.refused_networks.values());
        let is_failing = errors.any(|error| matches!(error, ApplyError::Write { .. }));
        // A successful plan of other changes does not prove that what failed before would succeed now.
        if is_failing || task.is_retry {
            self.failing = is_failing.then(|| self.failing.unwrap_or(started));
        }
        self.note_refused(outcome.refused, outcome.refused_networks, &task.counted, started);
        let now = tokio::time::Instant::now();
        if self.is_degraded() && !task.was_degraded {
            self.retry = Retry::new(now);
        }
        if task.is_retry {
            self.retry.tried(now, started.elapsed());
        }
        self.removed_backends.add(outcome.udp_gone);
        let Size { services, frontends, backends, .. } = self.dataplane.size();
        let generation = self.generation;
        // The JSON log writes a u64 as a number, but not a u128.
        let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        // Only the first plan is logged as info: a busy cluster has many a second.
        if generation == 1 {
            info!(services, frontends, backends, generation, micros, "programmed");
        } else {
            debug!(services, frontends, backends, generation, micros, "programmed");
        }
    }
}
