//! Stage *filter*: most packets are no Service's, and are told so by two arrays, without a map lookup.

use proxy_common::{
    Address, Tuple, Verdict,
    filter::{AddressClass, filter_index},
};

use crate::maps::{ADDRESS_FILTER, PORT_FILTER};

/// What may lie at `address`, of what is asked for in `wanted`; [`Verdict::Pass`] if nothing.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the filters have 65,536 entries")]
pub fn filter_address(address: &Address, wanted: u8) -> Result<u8, Verdict> {
    let class = ADDRESS_FILTER.get(filter_index(address) as u32).copied().unwrap_or(0) & wanted;
    if class == 0 { Err(Verdict::Pass) } else { Ok(class) }
}

/// Passes what goes to a port of the node itself. A node port of any protocol counts: answers may still come to a port
/// that became one of another protocol.
#[inline(always)]
pub fn filter_port(class: u8, tuple: &Tuple) -> Result<(), Verdict> {
    if class & AddressClass::SERVICE == 0 && port_class(tuple.destination_port) == 0 {
        return Err(Verdict::Pass);
    }
    Ok(())
}

/// What a port of this node may be.
#[inline(always)]
pub fn port_class(port: u16) -> u8 {
    PORT_FILTER.get(port.into()).copied().unwrap_or(0)
}
