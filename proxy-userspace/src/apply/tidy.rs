//! Clears filter bits that nothing needs any more: they cost packets of no Service a lookup.

use std::sync::mpsc::Receiver;

use super::{
    Dataplane,
    filters::{Needs, Stale},
};
use crate::maps::{Observed, store::Store};

/// Filter entries that are to be cleared, and the channel for what flows still need.
pub(super) struct Tidying {
    stale: Stale,
    needs: Receiver<Needs>,
}

impl Tidying {
    /// Keeps the entries, but reads the flows again, from other maps.
    pub(super) fn again(self, observed: Option<&Observed>) -> Self {
        Self { needs: observed.map_or(self.needs, |observed| observed.flows.needs()), ..self }
    }
}

impl<S: Store> Dataplane<S> {
    /// Clears the entries that flows turned out not to need since an earlier call. If none is pending, begins to read what flows
    /// need of the entries that are stale now. Never blocks.
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
