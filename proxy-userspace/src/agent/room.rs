//! What the agent's objects need of maps, and larger maps for them.

use std::{collections::BTreeSet, fmt::Display, net::SocketAddr};

use tokio::sync::mpsc;
use tracing::debug;

use super::Agent;
use crate::{
    apply::{ApplyError, demand},
    config::{MapSizes, Quantity},
    logging::errors::Report,
    maps::Maps,
};

impl Agent {
    /// What the maps hold that the agent writes, as far as it knows. All else is 0.
    pub fn used(&self) -> MapSizes {
        self.dataplane.used()
    }

    /// What the last plan has found no room for.
    pub fn lacking(&self) -> &BTreeSet<Quantity> {
        &self.lacking
    }

    /// What all objects need of the maps that the agent writes, in force or not.
    pub fn demand(&self) -> MapSizes {
        demand(&self.model.project_all())
    }

    /// What larger maps are made for when there is no room for it: until then that it waits is no news.
    pub fn let_grow(&mut self, growing: BTreeSet<Quantity>) {
        self.growing = growing;
    }

    /// Part of a plan has been refused, and is tried again. Whether that is news: not if a larger map is being made.
    pub(super) fn note_refusal(&mut self, part: impl Display, error: &ApplyError) -> bool {
        let waits = error.lacks().is_some_and(|quantity| self.growing.contains(&quantity));
        if waits {
            debug!(%part, error = %Report(error), "waits for a larger map");
        } else {
            self.refusals.add(part, Report(error));
        }
        !waits
    }

    /// Writes larger maps from now on, which no program uses and which hold what the maps of before do.
    pub fn enlarge(&mut self, maps: Maps) {
        self.dataplane.move_to(maps);
        self.dataplane.release();
    }

    /// Writes larger maps from now on, to which the programs have just moved, and what found no room in the maps of before.
    /// `udp_gone` takes lines about backends that have gone.
    pub fn move_to(&mut self, maps: Maps, udp_gone: Option<mpsc::UnboundedSender<BTreeSet<SocketAddr>>>) {
        self.dataplane.move_to(maps);
        self.udp_gone = udp_gone.unwrap_or_else(|| self.udp_gone.clone());
        self.gone_before = Some(BTreeSet::new());
        self.reconcile();
    }

    /// No program over the maps of before runs any more.
    pub fn has_moved(&mut self) {
        self.dataplane.release();
        self.attached();
    }
}
