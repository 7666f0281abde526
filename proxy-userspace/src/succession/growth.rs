//! A succession inside a running agent, which makes maps larger (docs/adr/0014). The agent has written the old maps, and goes on
//! with the new ones, by the same ids.

use super::{Succession, SuccessionError, discard_incomplete, find, migration::growths, pins};
use crate::maps::{Layout, PinFolder};

impl Succession {
    /// Prepares the pins of a set with other sizes for the agent that writes the old set. Only maps of another size are made
    /// anew: both sets have the same ids and the same configuration.
    pub fn grow(folder: &PinFolder, wanted: &[Layout]) -> Result<Self, SuccessionError> {
        discard_incomplete(folder)?;
        Self::share(folder, growths(wanted, &find(folder, wanted)))
    }

    /// Removes the pins of new maps that have other sizes than these.
    pub fn unpin_others(&self, wanted: &[Layout]) -> Result<(), SuccessionError> {
        let found = find(&self.new, wanted);
        let others = wanted.iter().filter(|layout| found.get(layout.name).is_none_or(|found| found != *layout));
        pins::remove(&self.new, others.map(|layout| layout.name))
    }

    /// Copies what no plan writes and no packet waits for into larger maps, before [`Self::fill`].
    pub fn prepare(&self) -> Result<(), SuccessionError> {
        Ok(self.map_copy().counters_of_ids(&self.old)?)
    }

    /// Copies what the agent has written into the larger maps that it writes from now on, then what the programs have entered.
    /// What does not fit of the former is an error: the old set stays.
    pub fn fill(&mut self) -> Result<(), SuccessionError> {
        self.map_copy().configuration()?;
        self.copy_state()
    }
}
