//! Stage *filter*: two array lookups rule out most non-Service traffic before any hash lookup.

use proxy_common::{
    Address, Verdict,
    filter::{PortClass, filter_index},
};

use crate::{
    lookup::Lookup as _,
    maps::{ADDRESS_FILTER, PORT_FILTER, SNAT_PORTS},
};

/// The bits of `wanted` that ADDRESS_FILTER has for `address`; [`Verdict::Pass`] if there are none.
#[inline(always)]
pub fn filter_address(address: &Address, wanted: u8) -> Result<u8, Verdict> {
    let class = address_class(address) & wanted;
    if class == 0 { Err(Verdict::Pass) } else { Ok(class) }
}

/// The bits that ADDRESS_FILTER has for `address`.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the filters have 65,536 entries")]
pub fn address_class(address: &Address) -> u8 {
    ADDRESS_FILTER.get(filter_index(address) as u32).copied().unwrap_or(0)
}

/// Passes a packet to a port of this node that is no node port and that source translation has not used. A node port of any
/// protocol counts, since a port may have become a node port of one protocol while replies of another still come.
#[inline(always)]
pub fn filter_port(port: u16) -> Result<(), Verdict> {
    if is_served(port) { Ok(()) } else { Err(Verdict::Pass) }
}

/// The bits that PORT_FILTER has for a port of this node.
#[inline(always)]
pub fn port_class(port: u16) -> u8 {
    PORT_FILTER.get(port.into()).copied().unwrap_or(0)
}

/// Whether a port of this node is a node port, or one at which replies may arrive.
#[inline(always)]
fn is_served(port: u16) -> bool {
    port_class(port) & PortClass::NODE_PORT != 0
        || SNAT_PORTS.get_shared(port.into()).is_some_and(|used| used.read() != 0)
}

/// Notes that source translation has given this port to a flow. The note is never removed: at worst it costs the port's next user
/// some lookups.
#[inline(always)]
pub fn note_snat_port(port: u16) {
    // Written only if needed, since all CPUs read it.
    if let Some(used) = SNAT_PORTS.get_shared(port.into())
        && used.read() == 0
    {
        used.write(&1);
    }
}
