//! Stage *lookup*: finds the Service of a dialled address.

use aya_ebpf::btf_maps::lpm_trie::Key;
use proxy_common::{
    Address, DropReason, Frontend, FrontendKind, Network, RejectReason, Service, Verdict, filter::AddressClass,
};

use crate::maps::{NETWORKS, SERVICES};

/// The Service behind `frontend`, or why there is none. The address is not unspecified: that is the key of
/// node ports, which only the node's own addresses lead to. `class` is the address's in ADDRESS_FILTER. `is_node` tells
/// whether the client is in the node's own network namespace; it is asked only for loopback addresses (S19).
#[inline(always)]
pub fn lookup_service(frontend: &Frontend, class: u8, is_node: impl FnOnce() -> bool) -> Result<Service, Verdict> {
    if class & AddressClass::SERVICE != 0
        && let Some(service) = get(frontend)
    {
        return Ok(service);
    }
    let network = NETWORKS.get(&Key::new(128, frontend.address)).copied().ok_or(Verdict::Pass)?;
    if network == Network::SERVICE_CIDR {
        return Err(lookup_owner(frontend.address));
    }
    if network == Network::DIRECT || (network == Network::LOOPBACK && !is_node()) {
        return Err(Verdict::Pass);
    }
    get(&Frontend { address: frontend.address.any(), ..*frontend }).ok_or(Verdict::Pass)
}

/// Whether some Service has this address, which ADDRESS_FILTER puts into `class`.
#[inline(always)]
pub fn is_service(address: &Address, class: u8) -> bool {
    class & AddressClass::SERVICE != 0 && is_owned(*address)
}

/// Nobody but a Service can be meant by an address in a ServiceCIDR, whether one has it or not.
#[inline(never)]
pub fn is_owned(address: Address) -> bool {
    get(&Frontend::owner(address)).is_some() || is_in_service_cidr(address)
}

/// Whether a packet to this address is unreachable, whatever it carries: a ServiceCIDR has it, and no Service (S20).
#[inline(never)]
pub fn is_unowned(address: Address) -> bool {
    is_in_service_cidr(address) && get(&Frontend::owner(address)).is_none()
}

#[inline(always)]
fn is_in_service_cidr(address: Address) -> bool {
    NETWORKS.get(&Key::new(128, address)) == Some(&Network::SERVICE_CIDR)
}

/// A copy of a frontend's value: the map may reuse the entry once it has been replaced.
#[inline(always)]
fn get(frontend: &Frontend) -> Option<Service> {
    // SAFETY: the value is copied before anything else runs.
    unsafe { SERVICES.get(frontend) }.copied()
}

/// What an unserved port of an address inside a ServiceCIDR gets (S20).
#[inline(always)]
fn lookup_owner(address: Address) -> Verdict {
    match get(&Frontend::owner(address)) {
        Some(mark) if mark.kind == FrontendKind::Owner as u8 => Verdict::Reject(RejectReason::UnservedPort),
        _ => Verdict::Drop(DropReason::UnownedAddress),
    }
}
