//! The decision about a new flow: which Service is dialled, whether it is for this client, which of its lists it gets, and
//! which backend. What the maps hold comes through [`Maps`], so that the programs, and userspace over the same maps, decide by
//! the same code.

use crate::{
    Address, Backend, DropReason, Frontend, FrontendKind, List, Network, RejectReason, Service, SlotRange, Verdict,
    filter::AddressClass, select::slot_index,
};

/// The maps that the decision reads. What can't be read is as good as absent.
pub trait Maps {
    /// The value of a frontend in SERVICES: a copy, since the map may reuse the entry once it has been replaced.
    fn service(&self, frontend: &Frontend) -> Option<Service>;

    /// The value of the longest prefix in NETWORKS that has this address.
    fn network(&self, address: &Address) -> Option<Network>;

    /// Whether SOURCE_RANGES has a prefix of this service with this client.
    fn is_admitted(&self, service: u32, client: &Address) -> bool;

    /// The element of SLOTS: a backend's id.
    fn slot(&self, slot: u32) -> Option<u32>;

    /// The element of BACKENDS, valid or not.
    fn backend(&self, id: u32) -> Option<Backend>;
}

/// A backend, and the id under which it can be remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// Its id.
    pub id: u32,
    /// Its address and port.
    pub backend: Backend,
}

impl Selected {
    /// The backend's address as a socket dials it.
    #[inline(always)]
    pub const fn remote(&self, protocol: u8) -> Frontend {
        Frontend::new(self.backend.address, self.backend.port, protocol)
    }
}

/// The Service behind `frontend`, or why there is none. The address is not unspecified: that is the key of
/// node ports, which only the node's own addresses lead to. `class` is the address's in ADDRESS_FILTER. `is_node` tells
/// whether the client is in the node's own network namespace; it is asked only for loopback addresses (S19).
#[inline(always)]
pub fn lookup_service(
    maps: &impl Maps,
    frontend: &Frontend,
    class: u8,
    is_node: impl FnOnce() -> bool,
) -> Result<Service, Verdict> {
    if class & AddressClass::SERVICE != 0
        && let Some(service) = maps.service(frontend)
    {
        return Ok(service);
    }
    let network = maps.network(&frontend.address).ok_or(Verdict::Pass)?;
    if network == Network::SERVICE_CIDR {
        return Err(lookup_owner(maps, frontend.address));
    }
    if network == Network::DIRECT || (network == Network::LOOPBACK && !is_node()) {
        return Err(Verdict::Pass);
    }
    maps.service(&Frontend { address: frontend.address.any(), ..*frontend }).ok_or(Verdict::Pass)
}

/// What an unserved port of an address inside a ServiceCIDR gets (S20).
#[inline(always)]
fn lookup_owner(maps: &impl Maps, address: Address) -> Verdict {
    match maps.service(&Frontend::owner(address)) {
        Some(mark) if mark.kind == FrontendKind::Owner as u8 => Verdict::Reject(RejectReason::UnservedPort),
        _ => Verdict::Drop(DropReason::UnownedAddress),
    }
}

/// Whether only a Service can be meant by an address: one has it, or a ServiceCIDR.
#[inline(always)]
pub fn is_owned(maps: &impl Maps, address: Address) -> bool {
    maps.service(&Frontend::owner(address)).is_some() || is_in_service_cidr(maps, address)
}

/// Whether a packet to this address is unreachable, whatever it carries: a ServiceCIDR has it, and no Service (S20).
#[inline(always)]
pub fn is_unowned(maps: &impl Maps, address: Address) -> bool {
    is_in_service_cidr(maps, address) && maps.service(&Frontend::owner(address)).is_none()
}

#[inline(always)]
fn is_in_service_cidr(maps: &impl Maps, address: Address) -> bool {
    maps.network(&address) == Some(Network::SERVICE_CIDR)
}

/// Drops packets of clients outside the source ranges (S21). This wins over every other refusal.
#[inline(always)]
pub fn check_client(maps: &impl Maps, service: &Service, client: &Address) -> Result<(), Verdict> {
    if service.flags & Service::SOURCE_RANGES != 0 && !maps.is_admitted(service.id, client) {
        return Err(Verdict::Drop(DropReason::SourceRange));
    }
    Ok(())
}

/// Drops calls of sockets outside the source ranges (S21), in the node's own network namespace or in a pod. This wins over
/// every other refusal. `is_node` is asked only if there are source ranges.
#[inline(always)]
pub fn check_socket(service: &Service, is_node: impl FnOnce() -> bool) -> Result<(), Verdict> {
    if service.flags & Service::SOURCE_RANGES != 0 && !service.admits_socket(is_node()) {
        return Err(Verdict::Drop(DropReason::SourceRange));
    }
    Ok(())
}

/// The list that a client gets: the internal one on this node, else the external one (S17). An empty one is refused (S16).
#[inline(always)]
pub const fn select_list(service: &Service, internal: bool) -> Result<(SlotRange, List), Verdict> {
    let (range, list) = service.list(internal);
    if range.length == 0 { Err(service.empty_verdict()) } else { Ok((range, list)) }
}

/// Draws from a range that is not empty: uniformly, if `random` is (S23).
#[inline(always)]
pub fn select_backend(maps: &impl Maps, range: SlotRange, random: u32) -> Result<Selected, Verdict> {
    let slot = range.offset.wrapping_add(slot_index(random, range.length));
    get_backend(maps, maps.slot(slot).ok_or(MISSING)?).ok_or(MISSING)
}

/// A list or memory names a backend that is not there.
pub const MISSING: Verdict = Verdict::Drop(DropReason::MissingBackend);

/// The backend with this id, if there is one.
#[inline(always)]
pub fn get_backend(maps: &impl Maps, id: u32) -> Option<Selected> {
    let backend = maps.backend(id)?;
    backend.is_valid().then_some(Selected { id, backend })
}
