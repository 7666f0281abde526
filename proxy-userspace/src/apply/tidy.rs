//! Clearing, now and then, what costs packets of no Service a lookup and is of no use any more.

use std::sync::mpsc::Receiver;

use super::{
    Dataplane,
    prefilter::{Needs, Stale},
};

/// Entries of the filters that wait to be cleared, and who will say which of them flows need.
pub(super) struct Tidying {
    stale: Stale,
    needs: Receiver<Needs>,
}

impl Dataplane {
    /// Clears the filters of what flows were not found to need since the last call, and begins to look for what they
    /// need of what is stale now. Never waits.
    pub fn tidy(&mut self) {
        if let Some(tidying) = self.tidying.take() {
            match tidying.needs.try_recv() {
                Ok(needs) => self.filters.clear(&mut self.maps.filters, tidying.stale, &needs),
                Err(_) => self.tidying = Some(tidying),
            }
        } else if let Some(stale) = self.filters.take_stale() {
            self.tidying = Some(Tidying { stale, needs: self.maps.flows.needs() });
        }
    }
}
