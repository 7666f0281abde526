//! Notes when a service port last changed, so that `waggle explain` can say since when a connection is refused. The note is in
//! SERVICE_NAMES, where it survives the agent.

use std::{
    hash::Hasher as _,
    net::IpAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use fnv::FnvHasher;
use proxy_common::{Address, StoredName};
use tracing::debug;

use super::Dataplane;
use crate::{
    desired::{PortEntry, PortId},
    logging::errors::Report,
    maps::{
        encode,
        store::{Entries as _, Store},
    },
};

impl<S: Store> Dataplane<S> {
    /// Notes that a port is in force as `entry`. The time of its last change stays if that is what it was changed to.
    pub(super) fn note_change(&mut self, id: &PortId, entry: &PortEntry) {
        let Some(number) = self.ports.get(id).map(|port| port.id) else { return };
        let digest = digest(entry);
        if self.maps.service_names.get(&number).is_some_and(|name| name.digest == digest) {
            return;
        }
        // A failure costs no more than a wrong time.
        if let Err(error) = self.maps.service_names.put(number, changed_now(id, digest)) {
            debug!(id = number, error = %Report(&error), "the time of a change is not noted");
        }
    }
}

/// Returns the value in SERVICE_NAMES of a port that changes to `entry` now.
pub(super) fn new_name(id: &PortId, entry: &PortEntry) -> StoredName {
    changed_now(id, digest(entry))
}

fn changed_now(id: &PortId, digest: u64) -> StoredName {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    StoredName { changed: now.as_secs(), digest, ..encode::name(id) }
}

/// A digest of the lists of backends and the source ranges. Releases and restarts agree on it, so it is made of bytes whose meaning
/// is fixed, by a hash whose algorithm is: FNV-1a.
fn digest(entry: &PortEntry) -> u64 {
    let mut hasher = FnvHasher::default();
    let mut write = |bytes: &[u8]| hasher.write(bytes);
    write(&[u8::from(entry.usable)]);
    for (list, backends) in &entry.lists {
        write(&[*list as u8]);
        write(&(backends.len() as u64).to_le_bytes());
        for backend in backends {
            write(&bytes_of(backend.ip()));
            write(&backend.port().to_be_bytes());
        }
    }
    if let Some(sources) = &entry.sources {
        write(&[u8::from(sources.node), u8::from(sources.pods)]);
        for net in &sources.nets {
            write(&bytes_of(net.addr()));
            write(&[net.prefix_len()]);
        }
    }
    hasher.finish()
}

fn bytes_of(address: IpAddr) -> [u8; 16] {
    bytemuck::cast(Address::from(address))
}
