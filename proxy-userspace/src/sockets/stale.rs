//! UDP sockets that stay connected to backends that are gone (S29): what is known of them, in a sentence for whoever reports
//! it. It ends none.

use std::{
    collections::BTreeSet,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::destroy::{DestroyError, Destroyed};
use crate::logging::errors::Report;

/// The last sentence that has not been reported yet. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Stale(Arc<Mutex<Option<String>>>);

impl Stale {
    /// Sockets have stayed connected.
    pub(super) fn note(&self, left: &Remaining<'_>) {
        *self.unreported() = Some(left.to_string());
    }

    /// Hands the sentence, if there is one, to `report`, which returns whether it need not be reported again.
    pub fn report(&self, report: impl FnOnce(&str) -> bool) {
        let mut unreported = self.unreported();
        if unreported.as_deref().is_some_and(report) {
            *unreported = None;
        }
    }

    fn unreported(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sockets that have stayed connected to `backend`, or to others that went at the same time.
#[derive(Debug)]
pub(super) struct Remaining<'a> {
    backend: SocketAddr,
    cause: Cause<'a>,
}

#[derive(Debug)]
enum Cause<'a> {
    /// The kernel has refused to destroy this many.
    Refused(usize),
    /// They may be in network namespaces that could not be searched: at most so many sockets, in so many namespaces.
    Unreachable(usize, usize),
    /// Destroying sockets has failed; this many may be left.
    Failed(usize, &'a DestroyError),
}

impl<'a> Remaining<'a> {
    /// What a search for sockets of the backends `gone` has left. `unseen`: sockets that had been connected to one of them and
    /// were not found, most of which their owners have closed.
    pub(super) fn of(
        gone: &BTreeSet<SocketAddr>,
        ended: Result<&Destroyed, &'a DestroyError>,
        unseen: usize,
    ) -> Option<Self> {
        let cause = match ended {
            Ok(Destroyed { refused: refused @ 1.., .. }) => Cause::Refused(*refused),
            _ if unseen == 0 => return None,
            Ok(Destroyed { unreachable: places @ 1.., .. }) => Cause::Unreachable(unseen, *places),
            Ok(_) => return None,
            Err(error) => Cause::Failed(unseen, error),
        };
        Some(Self { backend: *gone.first()?, cause })
    }
}

impl fmt::Display for Remaining<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = match &self.cause {
            Cause::Refused(count) => format!("{count}"),
            Cause::Unreachable(most, _) | Cause::Failed(most, _) => format!("up to {most}"),
        };
        write!(
            f,
            "UDP sockets ({count}) stay connected to backends that are gone, such as {}, and get no reply until their owners \
             connect again (start those that do not again): ",
            self.backend
        )?;
        match &self.cause {
            Cause::Refused(_) => write!(f, "the kernel refused to end them"),
            Cause::Unreachable(_, places) => write!(
                f,
                "{places} network namespaces or processes can't be looked into (give the agent CAP_SYS_ADMIN, CAP_SYS_PTRACE \
                 and hostPID)"
            ),
            Cause::Failed(_, error) => write!(f, "{}", Report(*error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(ended: Result<&Destroyed, &DestroyError>, unseen: usize) -> Option<String> {
        let gone = ["10.0.0.1:53", "10.0.0.2:53"].map(|backend| backend.parse().unwrap()).into();
        Remaining::of(&gone, ended, unseen).map(|left| left.to_string())
    }

    #[test]
    fn s29_only_sockets_that_may_be_left_are_reported() {
        let done = Destroyed { sockets: 3, namespaces: 9, ..Destroyed::default() };
        let some_hidden = Destroyed { unreachable: 2, ..done };
        assert_eq!(left(Ok(&done), 0), None);
        assert_eq!(left(Ok(&done), 5), None, "everything was searched: their owners have closed them");
        assert_eq!(left(Ok(&some_hidden), 0), None, "all of them were found");
        assert_eq!(left(Err(&DestroyError::Unsupported), 0), None, "there were none");
    }

    #[test]
    fn s29_sockets_that_are_left_are_reported_with_the_reason_and_what_to_do() {
        let refused = Destroyed { refused: 2, unreachable: 1, ..Destroyed::default() };
        let hidden = Destroyed { unreachable: 7, ..Destroyed::default() };
        let unsupported = DestroyError::Unsupported;
        for (ended, unseen, words) in [
            (Ok(&refused), 0, ["sockets (2) stay", "10.0.0.1:53", "refused to end"]),
            (Ok(&hidden), 4, ["(up to 4)", "7 network namespaces", "CAP_SYS_PTRACE"]),
            (Err(&unsupported), 4, ["(up to 4)", "10.0.0.1:53", "CONFIG_INET_DIAG_DESTROY"]),
        ] {
            let sentence = left(ended, unseen).unwrap();
            assert!(words.iter().all(|word| sentence.contains(word)), "{sentence}");
        }
    }

    #[test]
    fn what_can_t_be_reported_now_is_reported_later_and_once() {
        let (stale, gone) = (Stale::default(), BTreeSet::from(["10.0.0.1:53".parse().unwrap()]));
        let refused = Destroyed { refused: 1, ..Destroyed::default() };
        stale.note(&Remaining::of(&gone, Ok(&refused), 0).unwrap());
        let mut reported = 0;
        for is_taken in [false, true, true] {
            stale.report(|_| {
                reported += 1;
                is_taken
            });
        }
        assert_eq!(reported, 2);
    }
}
