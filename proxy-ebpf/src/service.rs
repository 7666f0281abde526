//! Stage *lookup*: finds the Service of a dialled address.

use proxy_common::{Address, Frontend, Service, Verdict, decide, filter::AddressClass};

use crate::live::Live;

/// The Service behind `frontend`, or the verdict if there is none: see [`decide::lookup_service`].
#[inline(always)]
pub fn lookup_service(frontend: &Frontend, class: u8, is_node: impl FnOnce() -> bool) -> Result<Service, Verdict> {
    decide::lookup_service(&Live, frontend, class, is_node)
}

/// Whether a Service has this address. `class` has the address's bits in ADDRESS_FILTER.
#[inline(always)]
pub fn is_service(address: &Address, class: u8) -> bool {
    class & AddressClass::SERVICE != 0 && is_owned(*address)
}

/// [`decide::is_owned`], as a subprogram.
#[inline(never)]
pub fn is_owned(address: Address) -> bool {
    decide::is_owned(&Live, address)
}

/// [`decide::is_unowned`], as a subprogram.
#[inline(never)]
pub fn is_unowned(address: Address) -> bool {
    decide::is_unowned(&Live, address)
}
