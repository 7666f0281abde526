//! Clearing, now and then, what costs packets of no Service a lookup and is of no use any more.

use std::sync::mpsc::Receiver;

use super::{
    Dataplane,
    prefilter::{Needs, Stale},
};
use crate::maps::{Observed, store::Store};

/// Entries of the filters that wait to be cleared, and the thread's word which of them flows need.
pub(super) struct Tidying {
    stale: Stale,
    needs: Receiver<Needs>,
}

impl Tidying {
    /// The same entries, but flows are read from other maps.
    pub(super) fn again(self, observed: Option<&Observed>) -> Self {
        Self { needs: observed.map_or(self.needs, |observed| observed.flows.needs()), ..self }
    }
}

impl<S: Store> Dataplane<S> {
    /// Clears the filters of what flows were not found to need since the last call, and begins to look for what they
    /// need of what is stale now. Never waits.
    pub fn tidy(&mut self) {
        if let Some(tidying) = self.tidying.take() {
            match tidying.needs.try_recv() {
                Ok(needs) => self.filters.clear(&mut self.maps.filters, tidying.stale, &needs),
                Err(_) => self.tidying = Some(tidying),
            }
        } else if let Some(stale) = self.filters.take_stale() {
            match &self.maps.observed {
                Some(observed) => self.tidying = Some(Tidying { stale, needs: observed.flows.needs() }),
                None => self.filters.clear(&mut self.maps.filters, stale, &Needs::nothing()),
            }
        }
    }
}
