//! UDP sockets that stay connected to backends that are gone (S29): what is known of them, in a sentence for whoever tells of it.
//! It ends none.

use std::{
    collections::BTreeSet,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::destroy::{DestroyError, Destroyed};
use crate::logging::errors::Report;

/// The last sentence that nobody has told yet. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Stale(Arc<Mutex<Option<String>>>);

impl Stale {
    /// Sockets have stayed connected.
    pub(super) fn note(&self, left: &Left<'_>) {
        *self.untold() = Some(left.to_string());
    }

    /// Hands the sentence, if there is one, to `tell`, which returns whether it need not be told again.
    pub fn tell(&self, tell: impl FnOnce(&str) -> bool) {
        let mut untold = self.untold();
        if untold.as_deref().is_some_and(tell) {
            *untold = None;
        }
    }

    fn untold(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sockets that have stayed connected to `backend`, or to others that went at the same time.
#[derive(Debug)]
pub(super) struct Left<'a> {
    backend: SocketAddr,
    why: Why<'a>,
}

#[derive(Debug)]
enum Why<'a> {
    /// The kernel has refused to end so many.
    Refused(usize),
    /// They may be where nobody could look: so many sockets at most, in so many places.
    Unreachable(usize, usize),
    /// Ending sockets has failed; there may be so many.
    Failed(usize, &'a DestroyError),
}

impl<'a> Left<'a> {
    /// What a search for sockets of the backends `gone` has left. `unseen`: sockets that had been connected to one of them and
    /// were not found, most of which their owners have closed.
    pub(super) fn of(
        gone: &BTreeSet<SocketAddr>,
        ended: Result<&Destroyed, &'a DestroyError>,
        unseen: usize,
    ) -> Option<Self> {
        let why = match ended {
            Ok(Destroyed { refused: refused @ 1.., .. }) => Why::Refused(*refused),
            _ if unseen == 0 => return None,
            Ok(Destroyed { unreachable: places @ 1.., .. }) => Why::Unreachable(unseen, *places),
            Ok(_) => return None,
            Err(error) => Why::Failed(unseen, error),
        };
        Some(Self { backend: *gone.first()?, why })
    }
}

impl fmt::Display for Left<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = match &self.why {
            Why::Refused(count) => format!("{count}"),
            Why::Unreachable(most, _) | Why::Failed(most, _) => format!("up to {most}"),
        };
        write!(
            f,
            "UDP sockets ({count}) stay connected to backends that are gone, such as {}, and get no reply until their owners \
             connect again (start those that do not again): ",
            self.backend
        )?;
        match &self.why {
            Why::Refused(_) => write!(f, "the kernel refused to end them"),
            Why::Unreachable(_, places) => write!(
                f,
                "{places} network namespaces or processes can't be looked into (give the agent CAP_SYS_ADMIN, CAP_SYS_PTRACE \
                 and hostPID)"
            ),
            Why::Failed(_, error) => write!(f, "{}", Report(*error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(ended: Result<&Destroyed, &DestroyError>, unseen: usize) -> Option<String> {
        let gone = ["10.0.0.1:53", "10.0.0.2:53"].map(|backend| backend.parse().unwrap()).into();
        Left::of(&gone, ended, unseen).map(|left| left.to_string())
    }

    #[test]
    fn s29_only_sockets_that_may_be_left_are_told_of() {
        let done = Destroyed { sockets: 3, namespaces: 9, ..Destroyed::default() };
        let some_hidden = Destroyed { unreachable: 2, ..done };
        assert_eq!(left(Ok(&done), 0), None);
        assert_eq!(left(Ok(&done), 5), None, "everything was searched: their owners have closed them");
        assert_eq!(left(Ok(&some_hidden), 0), None, "all of them were found");
        assert_eq!(left(Err(&DestroyError::Unsupported), 0), None, "there were none");
    }

    #[test]
    fn s29_sockets_that_are_left_are_told_with_the_reason_and_what_to_do() {
        let refused = Destroyed { refused: 2, unreachable: 1, ..Destroyed::default() };
        let hidden = Destroyed { unreachable: 7, ..Destroyed::default() };
        let unsupported = DestroyError::Unsupported;
        for (ended, unseen, words) in [
            (Ok(&refused), 0, ["sockets (2) stay", "10.0.0.1:53", "refused to end"]),
            (Ok(&hidden), 4, ["(up to 4)", "7 network namespaces", "CAP_SYS_PTRACE"]),
            (Err(&unsupported), 4, ["(up to 4)", "10.0.0.1:53", "CONFIG_INET_DIAG_DESTROY"]),
        ] {
            let told = left(ended, unseen).unwrap();
            assert!(words.iter().all(|word| told.contains(word)), "{told}");
        }
    }

    #[test]
    fn what_can_t_be_told_now_is_told_later_and_once() {
        let (stale, gone) = (Stale::default(), BTreeSet::from(["10.0.0.1:53".parse().unwrap()]));
        let refused = Destroyed { refused: 1, ..Destroyed::default() };
        stale.note(&Left::of(&gone, Ok(&refused), 0).unwrap());
        let mut told = 0;
        for is_taken in [false, true, true] {
            stale.tell(|_| {
                told += 1;
                is_taken
            });
        }
        assert_eq!(told, 2);
    }
}
