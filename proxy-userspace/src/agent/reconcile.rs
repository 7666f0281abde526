//! From what has changed to what is in force: the model's part, a plan, and what became of it.

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
    apply::{ApplyError, Outcome, Size},
    desired::{ServiceName, plan::plan},
    logging::errors::Report,
    model::{Touched, health::Check},
};

/// How long the parts of a plan took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Took {
    /// From events to the table that they ask for.
    pub(super) model: Duration,
    /// The difference between two tables.
    pub(super) plan: Duration,
    /// Writing it.
    pub(super) apply: Duration,
}

/// What a plan is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// What has changed.
    Changes,
    /// What was refused, too.
    Everything,
}

/// What is planned, and how.
#[derive(Debug)]
struct Task {
    touched: Touched,
    /// Whether everything that is not in force is tried again: only then it is known how much that is.
    is_retry: bool,
    /// Services that are among the refusals already.
    counted: BTreeSet<ServiceName>,
    /// Whether something was refused before.
    was_degraded: bool,
}

/// What has become of it so far.
#[derive(Default)]
struct Done {
    /// None if there was nothing to write.
    outcome: Option<Outcome>,
    checks: BTreeMap<ServiceName, Check>,
    took: Took,
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
        let mut done = Done::default();
        // Nothing of this agent's is in force yet: no part takes anything from another.
        let parts = if self.generation == 0 { task.touched.parts() } else { Vec::new() };
        for part in if parts.is_empty() { slice::from_ref(&task.touched) } else { &parts } {
            self.bring(part, &mut done, task.is_retry, started);
        }
        self.mention_nowhere();
        if let Some(outcome) = done.outcome {
            self.generation += 1;
            self.report(outcome, &task, started);
        }
        if !self.is_degraded() {
            // The last that was refused may have been replaced by a change, and nothing is tried again.
            self.refusals.begin();
            self.failing = None;
        }
        let not_in_force = &self.refused | &self.waiting;
        let checks = self.checks.update(&task.touched.services, done.checks, &not_in_force);
        self.no_local.update(&task.touched.services, self.dataplane.table());
        self.publish(checks.map(Arc::new), (started, done.took));
        self.tell(started);
    }

    /// Brings a part into force.
    fn bring(&mut self, part: &Touched, done: &mut Done, is_retry: bool, now: Instant) {
        let projected = Instant::now();
        let projection = self.model.project(part);
        for (object, diagnostics) in projection.diagnostics {
            for news in self.diagnostics.replace(&object, diagnostics) {
                self.announcer.skipped(&news, projection.services.get(&object), now);
            }
        }
        // For as long as this agent runs: associations outlive their Service.
        if projection.table.has(Protocol::Sctp) {
            self.sctp.send_if_modified(|sctp| !std::mem::replace(sctp, true));
        }
        done.checks.extend(projection.checks);
        done.took.model += std::mem::take(&mut self.modelling) + projected.elapsed();
        let planned = Instant::now();
        let before = part.part_of(self.dataplane.table());
        let plan = plan(&before, &projection.table);
        drop((before, projection.table));
        done.took.plan += planned.elapsed();
        if !plan.is_empty() || is_retry || self.generation == 0 {
            let applied = Instant::now();
            let outcome = self.dataplane.apply(plan);
            done.outcome.get_or_insert_default().add(outcome);
            done.took.apply += applied.elapsed();
        }
    }

    fn take_task(&mut self, scope: Scope) -> Task {
        let mut touched = self.model.take_touched();
        let was_degraded = self.is_degraded();
        // A plan for one network is a plan for all.
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

    /// Says in the log and by Events what is new, and what there were too many lines for before.
    pub(super) fn tell(&mut self, now: Instant) {
        self.diagnostics.tell(now);
        self.announcer.applied(&(&self.refused | &self.waiting), self.refusals.current(), now);
        self.refusals.tell(now);
    }

    fn report(&mut self, outcome: Outcome, task: &Task, started: Instant) {
        let mut errors = outcome.refused.values().chain(outcome.refused_networks.values());
        let is_failing = errors.any(|error| matches!(error, ApplyError::Write { .. }));
        // That a change succeeds says nothing of what failed before.
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
        self.terminate(outcome.udp_gone);
        let Size { services, frontends, backends, .. } = self.dataplane.size();
        let generation = self.generation;
        // A number in JSON lines, which 128 bits would not be.
        let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        // The first is news; on a busy cluster the others come many times a second.
        if generation == 1 {
            info!(services, frontends, backends, generation, micros, "programmed");
        } else {
            debug!(services, frontends, backends, generation, micros, "programmed");
        }
    }
}
