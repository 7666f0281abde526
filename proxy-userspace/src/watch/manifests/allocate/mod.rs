//! What the API server gives a Service when it is created: defaults, cluster addresses (S34), node ports (S35).
//! Pure: what was given before comes in as [`Memory`] and goes out as the new one.

mod claims;
mod defaults;
mod memory;
mod probe;

use std::ops::RangeInclusive;

use ipnet::IpNet;

use self::claims::Claims;
pub use self::{memory::Memory, probe::fnv1a};
use super::{
    decode::{Found, Object},
    refusal::Refusal,
    validate::Fault,
};
use crate::objects::Service;

/// What may be given.
#[derive(Clone, Debug)]
pub struct Ranges {
    /// Service networks; the first one's family is the default family.
    pub cidrs: Vec<IpNet>,
    /// Node ports.
    pub node_ports: RangeInclusive<u16>,
}

/// The Services of a folder as the API server would return them.
#[derive(Debug, Default)]
pub struct Allocated {
    /// Valid Services, complete.
    pub services: Vec<Service>,
    /// Those whose wish can't be granted.
    pub refusals: Vec<Refusal>,
    /// What was given.
    pub memory: Memory,
}

/// A Service on its way through.
struct Draft<'a> {
    found: &'a Found,
    service: Service,
    key: String,
}

/// Grants explicit wishes first, in the order of `services`, then what was given before, then the rest by name: so
/// neither a restart nor the order of files changes an allocation.
pub fn allocate<'a>(services: impl IntoIterator<Item = &'a Found>, ranges: &Ranges, before: &Memory) -> Allocated {
    let mut result = Allocated::default();
    let mut claims = Claims::new(ranges);
    let mut drafts = Vec::new();
    for found in services {
        let Object::Service(service) = &found.object else { continue };
        let mut service = service.clone();
        let faults = defaults::complete(&mut service, ranges)
            .and_then(|()| claims.grant_wishes(&service))
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
        claims.renew(&mut draft.service, before.of(&draft.key));
    }
    for mut draft in drafts {
        let no_node_ports = draft.found.tree.at("spec.allocateLoadBalancerNodePorts").map(super::tree::Tree::to_value)
            == Some(false.into());
        match claims.fill(&mut draft.service, &draft.key, !no_node_ports) {
            Ok(()) => {
                result.memory.remember(draft.key, &draft.service);
                result.services.push(draft.service);
            }
            Err(Fault { field, reason }) => result.refusals.push(draft.found.refuse(&field, reason)),
        }
    }
    result
}

#[cfg(test)]
mod tests;
