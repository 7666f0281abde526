//! Which backends have left a service's lists but still serve (S29). Reads MEMBERS, which has only the services that need it.

use std::collections::BTreeSet;

use proxy_common::{List, Member};

use super::{InspectError, read::each_entry, snapshot::open};

/// Returns the ids of backends that are in no list of these services any more, but still serve the flows that they have.
pub fn draining(instance: &str, services: &BTreeSet<u32>) -> Result<BTreeSet<u32>, InspectError> {
    let listed = List::Cluster.bit() | List::Local.bit();
    let drains = List::draining(listed);
    let mut found = BTreeSet::new();
    each_entry(&open(instance)?, "MEMBERS", |member: Member, bits: u32| {
        if services.contains(&member.service) && bits & listed == 0 && bits & drains != 0 {
            found.insert(member.backend);
        }
    })?;
    Ok(found)
}
