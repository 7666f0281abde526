//! When the UDP sockets of backends that have gone are destroyed: not before all programs that serve have ceased to choose these
//! backends, since a socket that is destroyed too early only connects to one of them again.

use std::{collections::BTreeSet, mem, net::SocketAddr};

use tokio::sync::mpsc::UnboundedSender;

type Backends = BTreeSet<SocketAddr>;

/// The backends that UDP services have lost, on their way to the thread that destroys sockets.
pub(super) struct RemovedBackends {
    sender: UnboundedSender<Backends>,
    /// The backends since the programs began to be replaced; `None` once every hook has its new program.
    replacing: Option<Backends>,
    /// Whether the programs that serve read the maps that the agent writes.
    is_in_force: bool,
}

impl RemovedBackends {
    /// Hands backends to `sender`. The programs are being replaced.
    pub(super) fn new(sender: UnboundedSender<Backends>) -> Self {
        Self { sender, replacing: Some(Backends::new()), is_in_force: true }
    }

    /// Says whether the programs that serve until [`Self::replaced`] read the maps that the agent writes.
    pub(super) fn expect(&mut self, is_in_force: bool) {
        self.is_in_force = is_in_force;
    }

    /// The programs are being replaced; those that serve read the maps. `sender`: where backends go from now on.
    pub(super) fn begin(&mut self, sender: Option<UnboundedSender<Backends>>) {
        self.sender = sender.unwrap_or_else(|| self.sender.clone());
        self.replacing = Some(Backends::new());
    }

    /// Some backends have gone.
    pub(super) fn add(&mut self, gone: Backends) {
        if let Some(before) = &mut self.replacing {
            before.extend(&gone);
        }
        if self.is_in_force && !gone.is_empty() {
            // Without --udp-termination the channel has no receiver.
            let _ = self.sender.send(gone);
        }
    }

    /// Every hook has its new program. Backends that went while programs were replaced are handed on again: a socket may have been
    /// overlooked, or may have connected through an old program.
    pub(super) fn replaced(&mut self) {
        self.is_in_force = true;
        let gone = mem::take(&mut self.replacing);
        self.add(gone.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;

    fn received(receiver: &mut UnboundedReceiver<Backends>) -> Vec<u16> {
        let ports = |gone: Backends| gone.into_iter().map(|backend| backend.port()).collect::<Vec<_>>();
        std::iter::from_fn(|| receiver.try_recv().ok()).flat_map(ports).collect()
    }

    fn backend(port: u16) -> Backends {
        [SocketAddr::from(([10, 0, 0, 1], port))].into()
    }

    #[test]
    fn s29_sockets_are_destroyed_once_no_program_chooses_their_backend() {
        for (is_in_force, early) in [(true, vec![1]), (false, vec![])] {
            let (sender, mut receiver) = unbounded_channel();
            let mut gone = RemovedBackends::new(sender);
            gone.expect(is_in_force);
            gone.add(backend(1));
            assert_eq!(received(&mut receiver), early);
            gone.replaced();
            assert_eq!(received(&mut receiver), [1], "again, for sockets that old programs have connected");
            gone.add(backend(2));
            gone.replaced();
            assert_eq!(received(&mut receiver), [2], "nothing is replaced any more");
        }
    }
}
