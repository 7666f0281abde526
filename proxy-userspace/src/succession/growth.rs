//! A succession inside a running agent, which makes maps larger (docs/adr/0014). The agent has written the old maps, and
//! continues with the new ones, with the same ids.

use super::{Succession, SuccessionError, discard_incomplete, find, migration::growths, pins};
use crate::maps::{Layout, PinFolder};

impl Succession {
    /// Prepares the pins of a set with other sizes for the agent that writes the old set. Only maps of another size are created:
    /// all others are shared, since both sets have the same ids and the same configuration.
    pub fn grow(folder: &PinFolder, wanted: &[Layout]) -> Result<Self, SuccessionError> {
        discard_incomplete(folder)?;
        Self::share(folder, growths(wanted, &find(folder, wanted)))
    }

    /// Removes the pins of new maps whose layouts differ from `wanted`.
    pub fn unpin_others(&self, wanted: &[Layout]) -> Result<(), SuccessionError> {
        let found = find(&self.new, wanted);
        let others = wanted.iter().filter(|layout| found.get(layout.name).is_none_or(|found| found != *layout));
        pins::remove(&self.new, others.map(|layout| layout.name))
    }

    /// Copies counters into the larger maps, before [`Self::fill`]: no plan writes them, and no packet waits for them.
    pub fn prepare(&self) -> Result<(), SuccessionError> {
        Ok(self.map_copy().counters_of_ids(&self.old)?)
    }

    /// Copies what the agent has written into the larger maps, then what the programs have written. Fails if something that the
    /// agent has written does not fit; then the old set stays.
    pub fn fill(&mut self) -> Result<(), SuccessionError> {
        self.map_copy().configuration()?;
        self.copy_state()
    }
}
