//! From what has changed to what is in force: the model's part, a plan, and what became of it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use proxy_common::Protocol;
use tracing::{debug, info};

use super::Agent;
use crate::{
    apply::{ApplyError, Outcome, Size},
    desired::plan::plan,
    logging::errors::Report,
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

impl Agent {
    pub(super) fn reconcile(&mut self) {
        let started = Instant::now();
        let mut touched = self.model.take_touched();
        self.refusals.begin();
        let is_retry = !self.refused.is_empty() || self.refused_networks;
        touched.services.append(&mut self.refused);
        self.waiting.retain(|service| !touched.services.contains(service));
        touched.networks |= std::mem::take(&mut self.refused_networks);
        let projection = self.model.project(&touched);
        for (object, diagnostics) in projection.diagnostics {
            for news in self.diagnostics.replace(&object, diagnostics) {
                self.announcer.skipped(&news, projection.services.get(&object), started);
            }
        }
        self.mention_nowhere();
        let (ipv4, ipv6) = self.model.own_addresses();
        if let Err(error) = self.dataplane.set_node_addresses(ipv4, ipv6) {
            self.refusals.add("the source address of what is forwarded", Report(&error));
            self.refused_networks = true;
        }
        // For as long as this agent runs: associations outlive their Service.
        if projection.table.has(Protocol::Sctp) {
            self.sctp.send_if_modified(|sctp| !std::mem::replace(sctp, true));
        }
        let mut took = Took { model: std::mem::take(&mut self.modelling) + started.elapsed(), ..Took::default() };
        let planned = Instant::now();
        let before = touched.part_of(self.dataplane.table());
        let plan = plan(&before, &projection.table);
        took.plan = planned.elapsed();
        if !plan.is_empty() || is_retry || self.generation == 0 {
            let applied = Instant::now();
            let outcome = self.dataplane.apply(plan);
            took.apply = applied.elapsed();
            self.generation += 1;
            self.report(outcome, started);
        }
        let not_in_force = &self.refused | &self.waiting;
        let checks = self.checks.update(&touched.services, projection.checks, &not_in_force);
        self.no_local.update(&touched.services, self.dataplane.table());
        self.publish(checks.map(Arc::new), (started, took));
        self.tell(started);
    }

    /// Says in the log and by Events what is new, and what there were too many lines for before.
    pub(super) fn tell(&mut self, now: Instant) {
        self.diagnostics.tell(now);
        self.announcer.applied(&(&self.refused | &self.waiting), self.refusals.current(), now);
        self.refusals.tell(now);
    }

    fn report(&mut self, outcome: Outcome, started: Instant) {
        let mut errors = outcome.refused.values().chain(outcome.refused_networks.values());
        let is_failing = errors.any(|error| matches!(error, ApplyError::Write { .. }));
        self.failing = is_failing.then(|| self.failing.unwrap_or(started));
        self.note_refused(outcome.refused, outcome.refused_networks, started);
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
