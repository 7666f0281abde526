//! Looks at the maps, which all viewers share. A look is made when a document is asked for and the last look is old, so there is
//! none while the page is not shown, and together they take at most a tenth of the time of one processor.

use std::{
    cell::Cell,
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use proxy_common::Frontend;
use tokio::{runtime::Handle, time::sleep};

use super::{picture::Picture, services::PortRow};
use crate::{
    commands::{
        get::{InspectError, ServicePort, Snapshot, Tracked, draining, flows, service_ports},
        top::{
            backends::{BackendShare, shares},
            chosen::Chosen,
            history::History,
            rates::Figures,
            sample::{Sample, consistently},
        },
    },
    maps::encode,
    node::heap,
};

/// How old a look may be. The page asks once a second, and somewhat early at times.
const PERIOD: Duration = Duration::from_millis(900);
/// After a look, no new one is made for this many times as long as reading took.
const REST: u32 = 9;
/// If no look is made for this long, the last look is dropped and the history starts over.
const GAP: Duration = Duration::from_secs(15);
/// The most flows of a service port that are read.
const MOST_FLOWS: usize = 20_000;

/// The flows of a service port, and its backends.
#[derive(Clone, Debug, Default)]
pub(super) struct PortFlows {
    /// Its backends, those with the most open flows first.
    pub(super) backends: Vec<BackendShare>,
    /// The addresses of those that have left their lists but still serve.
    pub(super) draining: Vec<String>,
    /// Where its open flows go.
    pub(super) picture: Picture,
    /// There are more flows than are read.
    pub(super) is_cut: bool,
}

/// What a look has found, and the rates since the look before.
#[derive(Debug)]
pub(super) struct Look {
    /// When it was made.
    pub(super) time: SystemTime,
    /// What was read.
    pub(super) sample: Sample,
    /// The rates.
    pub(super) figures: Figures,
    /// The rates of the last looks.
    pub(super) history: History,
    /// The service ports.
    pub(super) rows: Vec<PortRow>,
    /// The flows of the service ports that were asked for.
    pub(super) flows: BTreeMap<ServicePort, PortFlows>,
    /// How long reading has taken.
    cost: Duration,
}

impl Look {
    /// Compares a sample with the look before.
    pub(super) fn new(sample: Sample, before: Option<Self>) -> Self {
        let before = before.filter(|before| sample.at.saturating_duration_since(before.sample.at) < GAP);
        let figures =
            Figures::compare(before.as_ref().map_or(&sample, |before| &before.sample), &sample, &Chosen::default());
        let mut history = before.map(|before| before.history).unwrap_or_default();
        if !figures.elapsed.is_zero() {
            history.push(&figures);
        }
        let rows = PortRow::all(&sample.snapshot, &figures);
        let cost = sample.at.elapsed();
        Self { time: SystemTime::now(), sample, figures, history, rows, flows: BTreeMap::new(), cost }
    }

    fn is_old(&self) -> bool {
        self.sample.at.elapsed() >= PERIOD.max(self.cost * REST)
    }
}

/// The last look at an instance.
#[derive(Clone, Debug)]
pub(super) struct Looks {
    instance: String,
    last: Arc<Mutex<Option<Look>>>,
}

/// A look that is being shown.
pub(super) struct Shown<'a> {
    instance: &'a str,
    look: &'a mut Look,
}

impl std::ops::Deref for Shown<'_> {
    type Target = Look;

    fn deref(&self) -> &Look {
        self.look
    }
}

impl Looks {
    pub(super) fn new(instance: &str) -> Self {
        Self { instance: instance.to_owned(), last: Arc::default() }
    }

    /// Calls `show` with the last look, or with a new one if that is old. Waits while another document is made.
    pub(super) fn show<T>(
        &self,
        show: impl FnOnce(&mut Shown<'_>) -> Result<T, InspectError>,
    ) -> Result<T, InspectError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let look = match last.take() {
            Some(look) if !look.is_old() => last.insert(look),
            before => {
                let sample = match Sample::read(&self.instance) {
                    Ok(sample) => sample,
                    Err(error) => {
                        *last = before;
                        return Err(error);
                    }
                };
                self.forget_later(sample.at);
                last.insert(Look::new(sample, before))
            }
        };
        show(&mut Shown { instance: &self.instance, look })
    }

    /// Forgets the look of this time, unless there is a newer one by then.
    fn forget_later(&self, at: Instant) {
        let Ok(runtime) = Handle::try_current() else { return };
        let last = Arc::clone(&self.last);
        runtime.spawn(async move {
            sleep(GAP).await;
            // Where it is locked, a newer look is being made.
            if let Ok(mut last) = last.try_lock()
                && last.as_ref().is_some_and(|look| look.sample.at == at)
            {
                *last = None;
                heap::trim();
            }
        });
    }
}

impl Shown<'_> {
    /// Reads the flows of a service port, unless this look has them.
    pub(super) fn read_flows(&mut self, port: &ServicePort) -> Result<(), InspectError> {
        if self.look.flows.contains_key(port) {
            return Ok(());
        }
        let began = Instant::now();
        let snapshot = &self.look.sample.snapshot;
        let ids = service_ports(snapshot).remove(port).unwrap_or_default();
        if ids.is_empty() {
            return Ok(());
        }
        let count = Cell::new(0);
        let wanted = |frontend: Frontend, id: Option<u32>| {
            let is_wanted = id.or_else(|| service_of(snapshot, frontend)).is_some_and(|id| ids.contains(&id));
            count.set(count.get() + usize::from(is_wanted));
            is_wanted && count.get() <= MOST_FLOWS
        };
        let tracked = consistently(self.instance, || {
            count.set(0);
            Tracked::read_wanted(self.instance, &wanted)
        })?;
        let rows = flows(snapshot, &tracked);
        let address = |id: &u32| snapshot.backends.get(id).map(|backend| encode::backend_address(backend).to_string());
        let found = PortFlows {
            backends: shares(snapshot, Some(&rows), port),
            draining: draining(self.instance, &ids)?.iter().filter_map(address).collect(),
            picture: Picture::of(&rows),
            is_cut: count.get() > MOST_FLOWS,
        };
        self.look.flows.insert(port.clone(), found);
        self.look.cost += began.elapsed();
        Ok(())
    }
}

/// Returns the id of the service that has a frontend, which may be a node port.
fn service_of(snapshot: &Snapshot, frontend: Frontend) -> Option<u32> {
    let node_port = Frontend { address: frontend.address.any(), ..frontend };
    [frontend, node_port].iter().find_map(|frontend| snapshot.services.get(frontend)).map(|service| service.id)
}
