//! When to look at the maps while nothing happens.

/// Skips looks at the maps while nothing happens, since they are most of the work of an idle agent.
#[derive(Debug, Default)]
pub(super) struct LookPacer {
    /// The number of the agent's plan, and the sum of what the programs had counted, at the last look.
    last: Option<(u64, u64)>,
    skipped: u32,
}

impl LookPacer {
    /// The most looks skipped in a row: entries for foreign flows change none of the counters.
    const MAX_SKIPPED: u32 = 9;

    /// Whether a look is due, by the number of the agent's plan and the sum of what the programs have counted; `None` if that
    /// can't be read.
    pub(super) fn is_due(&mut self, now: Option<(u64, u64)>) -> bool {
        let is_same = now.is_some() && now == std::mem::replace(&mut self.last, now);
        self.skipped = if is_same && self.skipped < Self::MAX_SKIPPED { self.skipped + 1 } else { 0 };
        self.skipped == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_skipped_while_nothing_happens_but_not_for_long() {
        let mut pacer = LookPacer::default();
        let mut due = |now| pacer.is_due(now);
        assert!(due(Some((1, 5))) && !due(Some((1, 5))), "nothing has happened");
        assert!(due(Some((2, 5))) && due(Some((2, 6))), "a plan, a packet");
        assert_eq!((0..20).filter(|_| due(Some((2, 6)))).count(), 2);
        assert!(due(None) && due(None), "if it is not known whether anything has happened, each look is due");
    }
}
