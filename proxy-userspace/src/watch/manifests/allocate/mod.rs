//! Completes Services as the API server does on creation: defaults, cluster addresses (S34), node ports (S35). Pure: the
//! earlier allocations are passed in, and the new ones are returned.

mod allocations;
mod allocator;
mod defaults;
mod probe;

use std::ops::RangeInclusive;

use ipnet::IpNet;

use self::allocator::Allocator;
pub use self::{allocations::Allocations, probe::fnv1a};
use super::{
    content::{Found, KeptObject},
    refusal::Refusal,
    validate::Fault,
};
use crate::objects::Service;

/// The ranges for allocations.
#[derive(Clone, Debug)]
pub struct Ranges {
    /// The ranges of cluster addresses; the family of the first one is the default.
    pub cidrs: Vec<IpNet>,
    /// The range of node ports.
    pub node_ports: RangeInclusive<u16>,
}

/// The Services of a folder as the API server would return them.
#[derive(Debug, Default)]
pub struct Allocated {
    /// Valid Services, complete.
    pub services: Vec<Service>,
    /// The Services whose explicit requests can't be met.
    pub refusals: Vec<Refusal>,
    /// The allocations of `services`.
    pub allocations: Allocations,
}

/// A Service whose allocation is not complete.
struct Draft<'a> {
    found: &'a Found,
    service: Service,
    key: String,
}

/// Allocates explicit requests first, in the order of `services`; then repeats earlier allocations; then allocates the rest
/// by name. So neither a restart nor the order of files changes an allocation.
pub fn allocate<'a>(services: impl IntoIterator<Item = &'a Found>, ranges: &Ranges, before: &Allocations) -> Allocated {
    let mut result = Allocated::default();
    let mut allocator = Allocator::new(ranges);
    let mut drafts = Vec::new();
    for found in services {
        let KeptObject::Service(service) = &found.object else { continue };
        let mut service = service.unpack();
        let faults = defaults::complete(&mut service, ranges)
            .and_then(|()| allocator.allocate_requested(&service))
            .err()
            .unwrap_or_default();
        if faults.is_empty() {
            let key = format!("{}/{}", found.identity.namespace, found.identity.name);
            drafts.push(Draft { found, service, key });
        } else {
            result.refusals.extend(faults.into_iter().map(|Fault { field, reason }| found.refuse(&field, reason)));
        }
    }
    drafts.sort_by(|a, b| a.key.cmp(&b.key));
    for draft in &mut drafts {
        allocator.renew(&mut draft.service, before.of(&draft.key));
    }
    for mut draft in drafts {
        let node_ports = draft.service.spec.allocate_load_balancer_node_ports != Some(false);
        match allocator.fill(&mut draft.service, &draft.key, node_ports) {
            Ok(()) => {
                result.allocations.remember(draft.key, &draft.service);
                result.services.push(draft.service);
            }
            Err(Fault { field, reason }) => result.refusals.push(draft.found.refuse(&field, reason)),
        }
    }
    result
}

#[cfg(test)]
mod tests;
