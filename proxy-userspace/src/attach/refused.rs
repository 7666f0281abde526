//! The groups of programs that the kernel has refused, with the reason in one line. It would most likely refuse them again, which
//! may take a second of the verifier's time, so they are not tried again for a while.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use aya::programs::ProgramError;

use super::{AttachError, Group};
use crate::logging::errors::Report;

/// How long a refusal counts. A later try may succeed: the kernel may have lacked memory.
const COUNTS: Duration = Duration::from_mins(1);

/// The beginnings of the lines of statistics, with which every log of the verifier ends.
const STATISTICS: [&str; 3] = ["verification time", "stack depth", "processed"];

/// The reason and the time of each refusal.
#[derive(Debug, Default)]
pub(super) struct RefusedGroups(BTreeMap<Group, (Instant, String)>);

impl RefusedGroups {
    /// Notes a refusal.
    pub(super) fn note(&mut self, group: Group, error: &AttachError, now: Instant) {
        self.0.insert(group, (now, reason(error)));
    }

    /// Returns why a group was refused, as long as the refusal counts.
    pub(super) fn of(&self, group: Group, now: Instant) -> Option<&str> {
        let (since, reason) = self.0.get(&group)?;
        (now.duration_since(*since) < COUNTS).then_some(reason)
    }
}

/// Returns the error in one line.
fn reason(error: &AttachError) -> String {
    match error {
        AttachError::Load { source: ProgramError::LoadError { io_error, verifier_log }, .. } => {
            format!("{error}: {io_error}{}", sentence(&verifier_log.to_string()))
        }
        other => Report(other).to_string(),
    }
}

/// Returns the last line of the verifier's log before its statistics, after a colon; empty if there is none.
fn sentence(log: &str) -> String {
    let is_sentence = |line: &&str| !line.is_empty() && !STATISTICS.iter().any(|word| line.starts_with(word));
    log.lines().map(str::trim).rfind(is_sentence).map_or_else(String::new, |sentence| format!(": {sentence}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w01_a_refusal_counts_for_a_while_and_for_its_group() {
        let (mut refused, then) = (RefusedGroups::default(), Instant::now());
        refused.note(Group::Xdp, &AttachError::Refused("too complex".to_owned()), then);
        assert_eq!(refused.of(Group::Xdp, then + COUNTS / 2), Some("too complex"));
        assert_eq!(refused.of(Group::Bare, then), None);
        assert_eq!(refused.of(Group::Xdp, then + COUNTS), None);
    }

    #[test]
    fn w01_one_line_of_the_verifiers_log_is_shown() {
        let statistics = "verification time 9 usec\nstack depth 0+8\nprocessed 2 insns (limit 1000000)\n";
        let log = format!("0: R1=ctx()\n1: (79) r0 = *(u64 *)(r1 +0)\nR1 invalid mem access 'scalar'\n{statistics}");
        for (log, wanted) in [(&*log, ": R1 invalid mem access 'scalar'"), (statistics, ""), ("", "")] {
            assert_eq!(sentence(log), wanted);
        }
    }
}
