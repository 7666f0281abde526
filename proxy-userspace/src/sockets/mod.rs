//! Destroys connected UDP sockets of removed backends, so that applications get an error and connect again (S29). Sockets that
//! dialled a backend's own address are left alone.

pub mod destroy;
mod stale;

use std::{cell::RefCell, collections::BTreeSet, net::SocketAddr, thread};

use aya::maps::{HashMap, MapData};
use proxy_common::{Backend, Flow, FlowRole, Frontend, List, Member, Peer, Protocol, Service};
use tokio::sync::mpsc::UnboundedReceiver;
use tracing::{debug, info, warn};

pub use self::stale::Stale;
use self::{
    destroy::{DestroyError, Destroyed, destroy_connected},
    stale::Remaining,
};
use crate::{
    logging::errors::Report,
    maps::{MapsError, PinFolder, open, open_array},
    node::{
        bpf::{self, MappedArray},
        capabilities,
    },
};

/// The maps by which stale sockets are recognised.
struct Sockets {
    flows: HashMap<MapData, Flow, Peer>,
    services: HashMap<MapData, Frontend, Service>,
    members: HashMap<MapData, Member, u32>,
    backends: MappedArray<Backend>,
}

/// Starts the thread that destroys the stale sockets of the backends that `gone` receives, and reports to `stale` those that it
/// can't destroy. It ends when the sender is dropped. If the kernel or the process can't destroy sockets, it logs a warning.
pub fn start(
    folder: &PinFolder,
    mut gone: UnboundedReceiver<BTreeSet<SocketAddr>>,
    stale: Stale,
) -> Result<(), MapsError> {
    let sockets = Sockets {
        flows: open(folder, "SOCKET_FLOWS")?,
        services: open(folder, "SERVICES")?,
        members: open(folder, "MEMBERS")?,
        backends: open_array(folder, "BACKENDS")?,
    };
    thread::spawn(move || {
        capabilities::raise_for_termination();
        let checked = destroy::check();
        if let Err(error) = &checked {
            warn!(
                error = %Report(error),
                "can't destroy connected UDP sockets of removed backends: their clients only notice by timeouts"
            );
        }
        while let Some(mut targets) = gone.blocking_recv() {
            while let Ok(further) = gone.try_recv() {
                targets.extend(further);
            }
            match &checked {
                Ok(()) => sockets.destroy_stale(&targets, &stale),
                Err(error) => sockets.note_remaining(&targets, Err(error), &BTreeSet::new(), &stale),
            }
        }
    });
    Ok(())
}

impl Sockets {
    fn destroy_stale(&self, targets: &BTreeSet<SocketAddr>, stale: &Stale) {
        // After this, no connect() can choose one of the targets: every program run that read the old lists has ended.
        if let Err(error) = bpf::grace_period() {
            debug!(error = %Report(&error), "no grace period on this kernel");
        }
        let seen = RefCell::<BTreeSet<u64>>::default();
        let ours = |cookie, backend| {
            let is_stale = self.is_stale(cookie, backend);
            if is_stale {
                seen.borrow_mut().insert(cookie);
            }
            is_stale
        };
        let ended = destroy_connected(targets, &ours);
        self.note_remaining(targets, ended.as_ref(), &seen.borrow(), stale);
        match ended {
            Ok(ended)
                if ended
                    == Destroyed {
                        namespaces: ended.namespaces,
                        unreachable: ended.unreachable,
                        ..Destroyed::default()
                    } =>
            {
                debug!(?ended, "no UDP socket was connected to the removed backends");
            }
            Ok(ended) => info!(?ended, "destroyed UDP sockets of removed backends"),
            Err(error) => warn!(error = %Report(&error), "can't destroy UDP sockets of removed backends"),
        }
    }

    /// Notes stale sockets that the search has not ended. `seen` are the cookies of those that it has found.
    fn note_remaining(
        &self,
        targets: &BTreeSet<SocketAddr>,
        ended: Result<&Destroyed, &DestroyError>,
        seen: &BTreeSet<u64>,
        stale: &Stale,
    ) {
        if ended.is_ok_and(|ended| ended.refused == 0 && ended.unreachable == 0) {
            return;
        }
        let is_left = |flow: &Flow| {
            let backend = SocketAddr::new(flow.remote.address.into(), flow.remote.port);
            flow.role == FlowRole::Connected as u32
                && !seen.contains(&flow.cookie)
                && targets.contains(&backend)
                && self.is_stale(flow.cookie, backend)
        };
        let unseen = self.flows.keys().flatten().filter(is_left).count();
        if let Some(remaining) = Remaining::of(targets, ended, unseen) {
            stale.note(&remaining);
        }
    }

    /// Whether a socket is connected to `backend` through a Service whose clients may not stay with it any more.
    fn is_stale(&self, cookie: u64, backend: SocketAddr) -> bool {
        let remote = Frontend::new(backend.ip().into(), backend.port(), Protocol::Udp as u8);
        let Ok(peer) = self.flows.get(&Flow::new(cookie, remote, FlowRole::Connected), 0) else { return false };
        let member = Member { service: peer.service, backend: peer.backend_id };
        // The agent may change the service and its members concurrently, so the list is read before and after the members. A
        // socket is stale only if its backend has left both. A change that makes a spared socket stale reports the backend again.
        let before = self.list(&peer);
        let lists = self.members.get(&member, 0).unwrap_or(0);
        let listed = lists & List::serving(before | self.list(&peer)) != 0;
        let same = self.backends.get(peer.backend_id).is_some_and(|now| now.generation == peer.backend_generation);
        !(listed && same)
    }

    /// Returns the list that clients of the socket's frontend use now, as a bit of MEMBERS' values; the policy may have changed it.
    /// If the frontend no longer belongs to the service, that is the list from which the backend was chosen.
    fn list(&self, peer: &Peer) -> u32 {
        let node_port = Frontend { address: peer.frontend.address.any(), ..peer.frontend };
        let service = [peer.frontend, node_port].into_iter().find_map(|frontend| self.services.get(&frontend, 0).ok());
        let service = service.filter(|service| service.id == peer.service);
        service.map_or(peer.list, |service| service.internal_list().bit())
    }
}
