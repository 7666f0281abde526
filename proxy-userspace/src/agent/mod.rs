//! The control loop: takes events, plans and applies. It decides nothing about Services and knows no map. It keeps the data
//! plane equal to the model; the first event of a burst is served at once, the rest together.

mod announcer;
pub mod checks;
mod diagnostics;
pub mod durations;
mod growth;
mod inputs;
pub mod labels;
pub mod no_local;
mod node_name;
mod publish;
mod reconcile;
pub mod refusals;
mod removed_backends;
mod retry;
pub mod status;
mod triggers;

use std::{
    collections::BTreeSet,
    future::pending,
    net::SocketAddr,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::sync::{mpsc, watch as changes};
use tracing::info;

pub use self::inputs::Inputs;
use crate::{
    agent::{
        announcer::Announcer, checks::Checks, diagnostics::Diagnostics, inputs::WakeReason, labels::ServiceLabels,
        no_local::NoLocals, reconcile::Scope, refusals::Refusals, removed_backends::RemovedBackends, retry::Retry,
        status::Status, triggers::Triggers,
    },
    apply::Dataplane,
    config::Quantity,
    desired::ServiceName,
    model::Model,
    node::{forwarding::Forwarding, heap, snat_ports::SnatPorts},
    objects::ApiEvent,
};

/// How often the host's settings are read: the kernel sends no event when a sysctl changes.
const CHECK_PERIOD: Duration = Duration::from_secs(2);
/// How often [`Dataplane::tidy`] is called.
const TIDY_PERIOD: Duration = Duration::from_secs(30);

/// The agent's state.
pub struct Agent {
    model: Model,
    dataplane: Dataplane,
    diagnostics: Diagnostics,
    refused: BTreeSet<ServiceName>,
    refused_networks: bool,
    refusals: Refusals,
    announcer: Announcer,
    /// `None` if packets from outside are not served.
    forwarding: Option<Forwarding>,
    retry: Retry,
    /// Whether it has been logged that this node has no Node object.
    has_warned_of_name: bool,
    /// Number of plans written so far.
    generation: u64,
    next_tidy: tokio::time::Instant,
    next_check: tokio::time::Instant,
    removed_backends: RemovedBackends,
    /// Whether there has been an SCTP Service since the start.
    sctp: changes::Sender<bool>,
    checks: Checks,
    status: changes::Sender<Status>,
    /// Services that are planned again when maps have become larger.
    waiting: BTreeSet<ServiceName>,
    /// Quantities that a map was too small for since maps last became larger.
    lacking: BTreeSet<Quantity>,
    /// Quantities that maps grow for when they are full.
    growing: BTreeSet<Quantity>,
    /// Since when writes have failed for another reason than a full map.
    failing: Option<Instant>,
    triggers: Triggers,
    no_local: NoLocals,
    labels: ServiceLabels,
    /// Whether a kind has been listed again since free heap memory was last returned to the kernel.
    relisted: bool,
    /// How long the model has taken for events that no plan has served yet.
    modelling: Duration,
}

impl Agent {
    /// Returns an agent that has programmed nothing yet. It keeps the labels of Services in `labels`.
    pub fn new(
        model: Model,
        dataplane: Dataplane,
        udp_gone: mpsc::UnboundedSender<BTreeSet<SocketAddr>>,
        sctp: changes::Sender<bool>,
        status: changes::Sender<Status>,
        writer: mpsc::Sender<ApiEvent>,
        labels: ServiceLabels,
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
            has_warned_of_name: false,
            generation: 0,
            next_tidy: tokio::time::Instant::now(),
            next_check: tokio::time::Instant::now(),
            removed_backends: RemovedBackends::new(udp_gone),
            sctp,
            checks: Checks::default(),
            status,
            waiting: BTreeSet::new(),
            lacking: BTreeSet::new(),
            growing: BTreeSet::new(),
            failing: None,
            triggers: Triggers::default(),
            no_local: NoLocals::default(),
            labels,
            relisted: false,
            modelling: Duration::ZERO,
        }
    }

    /// Sets the check of host settings that would keep packets from outside from being forwarded; `None` if such packets are not
    /// served.
    #[must_use]
    pub fn serving_outside(mut self, forwarding: Option<Forwarding>) -> Self {
        self.forwarding = forwarding;
        self
    }

    /// Reads this node's addresses, then events until every kind has been listed. Does nothing if every kind has been.
    /// Returns false if the source ended first.
    pub async fn list(&mut self, inputs: &mut Inputs) -> bool {
        if self.model.is_listed() {
            return true;
        }
        let started = Instant::now();
        // The task that sends addresses has ended, and ends the program with its error: wait for that.
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

    /// Programs everything for the first time, once every kind has been listed (S30). Returns false if the source ended first.
    pub async fn start(&mut self, inputs: &mut Inputs) -> bool {
        let is_listed = self.list(inputs).await;
        if is_listed {
            self.publish_checks();
            self.reconcile(Scope::Everything);
            let gone = self.dataplane.sweep();
            self.removed_backends.add(gone);
            self.check_settings();
        }
        is_listed
    }

    /// Says whether the programs that serve until [`Self::attached`] read the maps that the agent writes.
    pub fn expect_programs(&mut self, is_in_force: bool) {
        self.removed_backends.expect(is_in_force);
    }

    /// To be called once every hook has its new program, and resized maps hold what the old ones held. Terminates again the UDP
    /// sockets of backends that were removed while programs were being replaced: such a socket may have been overlooked, or may
    /// have connected through an old program.
    pub fn attached(&mut self) {
        self.note(|status| status.attached = true);
        self.removed_backends.replaced();
    }

    /// Returns the data plane that this agent writes.
    pub fn dataplane(&self) -> &Dataplane {
        &self.dataplane
    }

    /// Returns how many plans have been written so far.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Follows the source until it ends.
    pub async fn run(&mut self, inputs: &mut Inputs) {
        while let Some(reason) = self.read(inputs).await {
            match reason {
                WakeReason::Changed => {
                    self.retry.changed(tokio::time::Instant::now());
                    self.reconcile(Scope::Changes);
                    if std::mem::take(&mut self.relisted) {
                        heap::trim();
                    }
                }
                WakeReason::RetryDue => self.reconcile(Scope::Everything),
                WakeReason::Checked => self.log_and_announce(Instant::now()),
            }
        }
    }

    fn check_settings(&mut self) {
        self.note(|status| {
            if status.usage_of != self.generation {
                (status.usage, status.usage_of) = (self.dataplane.usage(), self.generation);
            }
        });
        self.next_check = tokio::time::Instant::now() + CHECK_PERIOD;
        // On failure the ports that were read before stay in use.
        let _ = SnatPorts::read().map(|ports| self.dataplane.set_snat(ports));
        self.announce(Instant::now());
        self.dataplane.check_affinity(self.growing.contains(&Quantity::Affinity));
        if let Some(forwarding) = &mut self.forwarding {
            forwarding.check(self.model.local(), |net| self.dataplane.has_backend_here(net));
        }
    }
}
