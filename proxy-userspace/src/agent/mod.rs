//! The control loop: events in, plans out. It decides nothing about Services and knows no map; it keeps
//! the data plane equal to the model, with the first event of a burst served at once and the rest together.

mod announcer;
pub mod checks;
mod diagnostics;
pub mod durations;
pub mod no_local;
mod nowhere;
mod publish;
mod reconcile;
pub mod refusals;
mod retry;
mod room;
pub mod status;
mod triggers;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    net::SocketAddr,
    time::{Duration, Instant, SystemTime},
};

use jiff::Timestamp;
use tokio::sync::{mpsc, watch as changes};
use tracing::{debug, info};

use crate::{
    agent::{
        announcer::Announcer, checks::Checks, diagnostics::Diagnostics, no_local::NoLocals, reconcile::Scope,
        refusals::Refusals, retry::Retry, status::Status, triggers::Triggers,
    },
    apply::Dataplane,
    config::Quantity,
    desired::ServiceName,
    model::Model,
    node::{forwarding::Forwarding, heap, rtnetlink::Routes, snat_ports::SnatPorts},
    objects::{ApiEvent, Event, Kind, LocalAddresses},
};

/// How many events are taken at once: bounds the time until a change is in force during the first lists.
const BATCH: usize = 4096;
/// How often the host's settings are read: no event reports a written sysctl.
const LOOK: Duration = Duration::from_secs(2);
/// How often the data plane is asked to tidy up.
const TIDY: Duration = Duration::from_secs(30);

/// The agent's state.
pub struct Agent {
    model: Model,
    dataplane: Dataplane,
    diagnostics: Diagnostics,
    refused: BTreeSet<ServiceName>,
    refused_networks: bool,
    refusals: Refusals,
    announcer: Announcer,
    /// None where packets from outside are not this agent's.
    forwarding: Option<Forwarding>,
    retry: Retry,
    /// Whether it has been said that this node has no Node object.
    is_nowhere_told: bool,
    /// Number of plans written so far.
    generation: u64,
    next_tidy: tokio::time::Instant,
    next_look: tokio::time::Instant,
    /// Takes backends whose connected UDP sockets must be ended.
    udp_gone: mpsc::UnboundedSender<BTreeSet<SocketAddr>>,
    /// What it has been given since the programs began to be replaced; none once every hook has its new program.
    gone_before: Option<BTreeSet<SocketAddr>>,
    /// Whether there has been an SCTP Service.
    sctp: changes::Sender<bool>,
    checks: Checks,
    status: changes::Sender<Status>,
    /// Services that are planned again when maps have become larger.
    waiting: BTreeSet<ServiceName>,
    /// What there has been no room for since maps last became larger.
    lacking: BTreeSet<Quantity>,
    /// What larger maps are made for when there is no room for it.
    growing: BTreeSet<Quantity>,
    /// When the first of the events came that no plan has served yet.
    queued: Option<SystemTime>,
    /// Since when a write has failed for another reason than lack of room.
    failing: Option<Instant>,
    triggers: Triggers,
    no_local: NoLocals,
    /// Whether lists have been read again since the heap was last given back.
    relisted: bool,
    /// How long the model has taken for events that no plan has served yet.
    modelling: Duration,
}

/// What the agent listens to.
pub struct Inputs {
    /// The source's reports.
    pub events: mpsc::Receiver<Event>,
    /// The node's own addresses.
    pub addresses: changes::Receiver<LocalAddresses>,
    /// Routes that have changed.
    pub routes: mpsc::Receiver<Routes>,
}

/// What the agent was woken for.
enum Woken {
    /// Something has changed.
    Changed,
    /// What was refused is due again.
    RetryDue,
    /// It has looked after the host and its maps.
    Looked,
}

impl Agent {
    /// An agent that has programmed nothing yet.
    pub fn new(
        model: Model,
        dataplane: Dataplane,
        udp_gone: mpsc::UnboundedSender<BTreeSet<SocketAddr>>,
        sctp: changes::Sender<bool>,
        status: changes::Sender<Status>,
        writer: mpsc::Sender<ApiEvent>,
    ) -> Self {
        Self {
            announcer: Announcer::new(writer, model.node_name()),
            model,
            dataplane,
            diagnostics: Diagnostics::default(),
            refused: BTreeSet::new(),
            refused_networks: false,
            refusals: Refusals::default(),
            forwarding: None,
            retry: Retry::new(tokio::time::Instant::now()),
            is_nowhere_told: false,
            generation: 0,
            next_tidy: tokio::time::Instant::now(),
            next_look: tokio::time::Instant::now(),
            udp_gone,
            gone_before: Some(BTreeSet::new()),
            sctp,
            checks: Checks::default(),
            status,
            waiting: BTreeSet::new(),
            lacking: BTreeSet::new(),
            growing: BTreeSet::new(),
            queued: None,
            failing: None,
            triggers: Triggers::default(),
            no_local: NoLocals::default(),
            relisted: false,
            modelling: Duration::ZERO,
        }
    }

    /// Looks after what keeps packets from outside from being forwarded, if they are served.
    #[must_use]
    pub fn serving_outside(mut self, forwarding: Option<Forwarding>) -> Self {
        self.forwarding = forwarding;
        self
    }

    /// Reads this node's addresses, and events until every kind has been listed, unless that is done. False when the source
    /// ended before.
    pub async fn list(&mut self, inputs: &mut Inputs) -> bool {
        if self.model.is_listed() {
            return true;
        }
        let started = Instant::now();
        // Who is gone without a report ends the program with the reason.
        if inputs.addresses.changed().await.is_err() {
            return pending().await;
        }
        self.take_addresses(inputs);
        while !self.model.is_listed() {
            if self.read(inputs).await.is_none() {
                return false;
            }
        }
        info!(waited = ?started.elapsed(), "all objects listed");
        self.triggers.begin(Timestamp::now());
        true
    }

    /// Programs everything for the first time, once every kind has been listed (S30). False when the source ended before.
    pub async fn start(&mut self, inputs: &mut Inputs) -> bool {
        let is_listed = self.list(inputs).await;
        if is_listed {
            self.publish_checks();
            self.reconcile(Scope::Everything);
            let gone = self.dataplane.sweep();
            self.terminate(gone);
            self.look_at_settings();
        }
        is_listed
    }

    /// Every hook has its new program, and maps of another size have what the old ones had. So far a socket of a backend that has
    /// gone may have been overlooked, or have dialled it by an old program.
    pub fn attached(&mut self) {
        self.note(|status| status.attached = true);
        let gone = self.gone_before.take();
        self.terminate(gone.unwrap_or_default());
    }

    /// What is in force.
    pub fn dataplane(&self) -> &Dataplane {
        &self.dataplane
    }

    /// Follows the source until it ends.
    pub async fn run(&mut self, inputs: &mut Inputs) {
        while let Some(woken) = self.read(inputs).await {
            match woken {
                Woken::Changed => {
                    self.retry.changed(tokio::time::Instant::now());
                    self.reconcile(Scope::Changes);
                    if std::mem::take(&mut self.relisted) {
                        heap::give_back();
                    }
                }
                Woken::RetryDue => self.reconcile(Scope::Everything),
                Woken::Looked => self.tell(Instant::now()),
            }
        }
    }

    /// Waits for something to happen and takes all that has happened; none when the source has ended. It may be broken off and
    /// begun again at any time, so every time that it waits for is a point in time.
    async fn read(&mut self, inputs: &mut Inputs) -> Option<Woken> {
        let mut batch = Vec::new();
        tokio::select! {
            count = inputs.events.recv_many(&mut batch, BATCH) => {
                self.take_events(batch);
                if count == 0 {
                    return None;
                }
            }
            Ok(()) = inputs.addresses.changed() => self.take_addresses(inputs),
            Some(routes) = inputs.routes.recv() => self.dataplane.reroute(&routes),
            () = tokio::time::sleep_until(self.next_tidy), if self.generation != 0 => {
                self.next_tidy = tokio::time::Instant::now() + TIDY;
                self.dataplane.tidy();
                return Some(Woken::Looked);
            }
            () = tokio::time::sleep_until(self.next_look), if self.generation != 0 => {
                self.look_at_settings();
                return Some(Woken::Looked);
            }
            () = tokio::time::sleep_until(self.retry.due()), if self.is_degraded() => return Some(Woken::RetryDue),
        }
        Some(Woken::Changed)
    }

    fn take_events(&mut self, batch: Vec<Event>) {
        let (started, now) = (Instant::now(), Timestamp::now());
        let mut counts = BTreeMap::<Kind, u64>::new();
        for event in batch {
            if let Some(kind) = event.changed() {
                *counts.entry(kind).or_default() += 1;
            }
            self.relisted |= matches!(event, Event::Listed(_));
            self.triggers.note(&event, now);
            self.model.apply(event);
        }
        self.modelling += started.elapsed();
        self.queued.get_or_insert_with(SystemTime::now);
        self.note(|status| status.count(counts));
    }

    fn look_at_settings(&mut self) {
        self.note(|status| {
            if status.usage_of != self.generation {
                (status.usage, status.usage_of) = (self.dataplane.usage(), self.generation);
            }
        });
        self.next_look = tokio::time::Instant::now() + LOOK;
        // What can't be read now was readable at the start, and still holds.
        let _ = SnatPorts::read().map(|ports| self.dataplane.set_snat(ports));
        self.announce(Instant::now());
        self.dataplane.look_at_clients(self.growing.contains(&Quantity::Affinity));
        if let Some(forwarding) = &mut self.forwarding {
            forwarding.look(self.model.local(), |net| self.dataplane.has_backend_here(net));
        }
    }

    fn take_addresses(&mut self, inputs: &mut Inputs) {
        let addresses = inputs.addresses.borrow_and_update().clone();
        debug!(?addresses, "addresses of this node");
        self.model.set_node_addresses(addresses);
        let local = self.model.local();
        self.dataplane.set_outward(&local.outward);
        self.dataplane.set_ruled(local.ruled);
    }
}
