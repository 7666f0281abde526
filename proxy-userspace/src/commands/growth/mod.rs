//! Makes maps grow: when one is nearly full, a set of programs with larger maps is prepared in the background and replaces the
//! current set by a succession inside the agent (docs/adr/0014). Nothing is lost, and the agent continues to run.

mod decision;
mod pacer;
mod running;
mod set;
mod usage;

use std::{collections::BTreeSet, future::pending, mem, time::Duration};

use anyhow::Context as _;
use aya::util::nr_cpus;
use tokio::{task::JoinHandle, time};
use tracing::{debug, info, warn};

use self::{
    decision::Facts,
    pacer::LookPacer,
    set::{Moved, Prepared},
};
pub use self::{decision::at_start, running::Running, set::SetConfig};
use crate::{
    agent::{Agent, Inputs},
    config::{MapSizes, Quantity},
    logging::errors::Report,
    maps::counters,
};

/// How often the maps' fill is checked.
const CHECK_PERIOD: Duration = Duration::from_secs(1);
/// How long to wait after a failure before trying again: after the first one, and at most.
const RETRY: Duration = Duration::from_mins(1);
const RETRY_LAST: Duration = Duration::from_hours(1);

/// The state of a growth.
enum Step {
    /// All maps are large enough.
    Idle(Running),
    /// A larger set is being prepared.
    Preparing(Running, JoinHandle<anyhow::Result<Box<Prepared>>>),
    /// The larger set serves, and the previous set is being removed.
    Finishing(Running, JoinHandle<anyhow::Result<()>>),
    /// Taken out to make the next step; also left behind by an error.
    Taken,
}

/// Makes the maps of a running set of programs grow.
pub struct Growth {
    set_config: SetConfig,
    limits: MapSizes,
    processors: usize,
    step: Step,
    next: time::Instant,
    retry: Duration,
    /// The quantities that have been logged as nearly full.
    warned: BTreeSet<Quantity>,
    pacer: LookPacer,
}

impl Growth {
    /// Takes the set of programs that serves, and the sizes of its maps in `set_config`. No map grows beyond `limits`.
    pub fn new(set_config: SetConfig, limits: MapSizes, running: Running) -> Self {
        let processors = nr_cpus().unwrap_or(1);
        let step = Step::Idle(running);
        let (next, warned) = (time::Instant::now(), BTreeSet::new());
        Self { set_config, limits, processors, step, next, retry: RETRY, warned, pacer: LookPacer::default() }
    }

    /// Returns the name of the instance.
    pub fn instance(&self) -> &str {
        &self.set_config.dataplane.instance
    }

    /// Runs the agent until its source ends, and grows its maps when needed. Fails if a succession breaks off while hooks have
    /// programs of both sets: the next start puts one set in place.
    pub async fn run(mut self, agent: &mut Agent, inputs: &mut Inputs) -> anyhow::Result<()> {
        loop {
            agent.set_growing(self.growing());
            tokio::select! {
                () = agent.run(inputs) => return Ok(()),
                event = self.event() => match event {
                    Event::Check => self.check(agent),
                    Event::Prepared(prepared) => self.switch(agent, prepared).await?,
                    Event::Finished(finished) => self.finish(agent, finished)?,
                },
            }
        }
    }

    /// Returns the quantities whose maps can grow soon; nothing while growing fails.
    fn growing(&self) -> BTreeSet<Quantity> {
        if self.retry == RETRY { growing(&self.set_config.dataplane.sizes, &self.limits) } else { BTreeSet::new() }
    }

    async fn event(&mut self) -> Event {
        match &mut self.step {
            Step::Idle(_) => {
                time::sleep_until(self.next).await;
                Event::Check
            }
            Step::Preparing(_, task) => Event::Prepared(task.await.context("make larger maps").and_then(|made| made)),
            Step::Finishing(_, task) => {
                Event::Finished(task.await.context("remove the previous maps").and_then(|done| done))
            }
            Step::Taken => pending().await,
        }
    }

    /// Starts to prepare a larger set if one is needed.
    fn check(&mut self, agent: &Agent) {
        self.next = time::Instant::now() + CHECK_PERIOD;
        let is_waiting = !agent.lacking().is_empty() || self.retry != RETRY;
        let counted = counters::sum_of_events(&self.set_config.folder()).ok();
        let is_due = self.pacer.is_due(counted.map(|counted| (agent.generation(), counted)));
        if !(is_due || is_waiting) {
            return;
        }
        // If the maps can't be read now, the next check tries again.
        let Ok(mut used) = usage::estimate_used(&self.set_config.folder()) else { return };
        used = larger_of(&used, &agent.used());
        self.warn_of_nearly_full(agent, &used);
        if self.facts(agent, &used).larger().is_none() {
            return;
        }
        used = larger_of(&used, &agent.demand());
        let sizes = self.facts(agent, &used).larger();
        self.step = match (self.take(), sizes) {
            (Step::Idle(running), Some(sizes)) => {
                Step::Preparing(running, Prepared::start(self.set_config.clone(), sizes))
            }
            (step, _) => step,
        };
    }

    /// Replaces the current set by the prepared one. If that fails before a hook is changed, the current set keeps serving.
    async fn switch(&mut self, agent: &mut Agent, prepared: anyhow::Result<Box<Prepared>>) -> anyhow::Result<()> {
        let Step::Preparing(running, _) = self.take() else { return Ok(()) };
        let moved = match prepared {
            Ok(prepared) => prepared.put_in_place(agent, running, &self.set_config).await?,
            Err(error) => Err((running, error)),
        };
        match moved {
            Ok(moved) => {
                self.log_growth(&moved);
                self.set_config.dataplane.sizes = moved.sizes;
                self.step = Step::Finishing(moved.running, moved.finishing);
            }
            Err((running, error)) => {
                warn!(
                    error = %Report(&*error), seconds = self.retry.as_secs(),
                    "failed to enlarge the maps; the current ones still serve; retrying later"
                );
                self.next = time::Instant::now() + self.retry;
                self.retry = (self.retry * 2).min(RETRY_LAST);
                self.step = Step::Idle(running);
            }
        }
        Ok(())
    }

    fn finish(&mut self, agent: &mut Agent, finished: anyhow::Result<()>) -> anyhow::Result<()> {
        finished?;
        if let Step::Finishing(running, _) = self.take() {
            self.step = Step::Idle(running);
        }
        agent.previous_maps_unused();
        self.retry = RETRY;
        debug!("the previous maps are removed");
        Ok(())
    }

    fn log_growth(&self, moved: &Moved) {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        for quantity in Quantity::ALL {
            let (from, to) = (self.set_config.dataplane.sizes.of(quantity), moved.sizes.of(quantity));
            if from != to {
                let (took, held) = (micros(moved.since.elapsed()), micros(moved.held));
                info!(map = quantity.map(), from, to, micros = took, held, "map has grown");
            }
        }
    }

    /// Logs once that a map at its limit is nearly full. For clients with affinity, the agent logs it.
    fn warn_of_nearly_full(&mut self, agent: &Agent, used: &MapSizes) {
        let (sizes, limits) = (&self.set_config.dataplane.sizes, &self.limits);
        let facts = Facts { sizes, limits, used, lacking: agent.lacking(), processors: self.processors };
        for quantity in facts.nearly_full().into_iter().filter(|quantity| *quantity != Quantity::Affinity) {
            if self.warned.insert(quantity) {
                let (flag, limit) = (quantity.flag(), self.limits.of(quantity));
                warn!(
                    map = quantity.map(),
                    used = used.of(quantity),
                    limit,
                    "the map is nearly full and at its largest size; start waggle with a larger {flag}"
                );
            }
        }
        self.warned.retain(|quantity| facts.is_full(*quantity));
    }

    fn facts<'a>(&'a self, agent: &'a Agent, used: &'a MapSizes) -> Facts<'a> {
        let (sizes, limits) = (&self.set_config.dataplane.sizes, &self.limits);
        Facts { sizes, limits, used, lacking: agent.lacking(), processors: self.processors }
    }

    fn take(&mut self) -> Step {
        mem::replace(&mut self.step, Step::Taken)
    }
}

/// An event that a [`Growth`] waits for.
enum Event {
    Check,
    Prepared(anyhow::Result<Box<Prepared>>),
    Finished(anyhow::Result<()>),
}

fn larger_of(one: &MapSizes, other: &MapSizes) -> MapSizes {
    MapSizes::each(|quantity| one.of(quantity).max(other.of(quantity)))
}

/// Returns the quantities whose maps are smaller than their limits.
pub fn growing(sizes: &MapSizes, limits: &MapSizes) -> BTreeSet<Quantity> {
    Quantity::ALL.into_iter().filter(|quantity| sizes.of(*quantity) < limits.of(*quantity)).collect()
}

/// Returns sizes that are large enough for what an agent is about to write, or `None` if `sizes` already are.
pub fn enough(sizes: &MapSizes, limits: &MapSizes, demand: &MapSizes) -> Option<MapSizes> {
    let (lacking, processors) = (&BTreeSet::new(), nr_cpus().unwrap_or(1));
    Facts { sizes, limits, used: demand, lacking, processors }.larger()
}
