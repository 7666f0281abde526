//! The decision about a new flow: its Service, whether this client is admitted, the list of backends, and the backend. The maps
//! are read through [`Maps`], so that programs and userspace decide by the same code.

use crate::{
    Address, Backend, DropReason, Frontend, FrontendKind, List, Network, RejectReason, Service, SlotRange, Verdict,
    filter::AddressClass, select::slot_index,
};

/// The maps that the decision reads. An element that can't be read counts as absent.
pub trait Maps {
    /// The value of a frontend in SERVICES. A copy, since the map may reuse the memory of a value that has been replaced.
    fn service(&self, frontend: &Frontend) -> Option<Service>;

    /// The value of the longest prefix in NETWORKS that contains this address.
    fn network(&self, address: &Address) -> Option<Network>;

    /// Whether a prefix of this service in SOURCE_RANGES contains this client.
    fn is_admitted(&self, service: u32, client: &Address) -> bool;

    /// The backend id at this index of SLOTS.
    fn slot(&self, slot: u32) -> Option<u32>;

    /// The element of BACKENDS with this id, whether it holds a backend or not.
    fn backend(&self, id: u32) -> Option<Backend>;
}

/// A backend and its id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// The backend's id.
    pub id: u32,
    /// Its address and port.
    pub backend: Backend,
}

impl Selected {
    /// The backend's address, port and protocol, in the form of a [`Frontend`].
    #[inline(always)]
    pub const fn remote(&self, protocol: u8) -> Frontend {
        Frontend::new(self.backend.address, self.backend.port, protocol)
    }
}

/// The Service behind `frontend`, or the verdict if there is none. The address must not be the unspecified one, which is the key
/// of node ports: only the node's own addresses lead to it. `class` has the bits of the address in ADDRESS_FILTER. `is_node` says
/// whether the client is in the node's own network namespace; it is called only for loopback addresses (S19).
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

/// The verdict about an unserved port of an address inside a ServiceCIDR (S20).
#[inline(always)]
fn lookup_owner(maps: &impl Maps, address: Address) -> Verdict {
    match maps.service(&Frontend::owner(address)) {
        Some(mark) if mark.kind == FrontendKind::Owner as u8 => Verdict::Reject(RejectReason::UnservedPort),
        _ => Verdict::Drop(DropReason::UnownedAddress),
    }
}

/// Whether an address can mean nothing but a Service: a Service has it, or it is inside a ServiceCIDR.
#[inline(always)]
pub fn is_owned(maps: &impl Maps, address: Address) -> bool {
    maps.service(&Frontend::owner(address)).is_some() || is_in_service_cidr(maps, address)
}

/// Whether an address is unreachable for any packet: it is inside a ServiceCIDR and no Service has it (S20).
#[inline(always)]
pub fn is_unowned(maps: &impl Maps, address: Address) -> bool {
    is_in_service_cidr(maps, address) && maps.service(&Frontend::owner(address)).is_none()
}

#[inline(always)]
fn is_in_service_cidr(maps: &impl Maps, address: Address) -> bool {
    maps.network(&address) == Some(Network::SERVICE_CIDR)
}

/// Drops packets of clients outside the source ranges (S21). Takes precedence over every other refusal.
#[inline(always)]
pub fn check_client(maps: &impl Maps, service: &Service, client: &Address) -> Result<(), Verdict> {
    if service.flags & Service::SOURCE_RANGES != 0 && !maps.is_admitted(service.id, client) {
        return Err(Verdict::Drop(DropReason::SourceRange));
    }
    Ok(())
}

/// Drops calls of sockets that are outside the source ranges (S21), by whether they are in the node's own network namespace or in
/// a pod. Takes precedence over every other refusal. `is_node` is called only if there are source ranges.
#[inline(always)]
pub fn check_socket(service: &Service, is_node: impl FnOnce() -> bool) -> Result<(), Verdict> {
    if service.flags & Service::SOURCE_RANGES != 0 && !service.admits_socket(is_node()) {
        return Err(Verdict::Drop(DropReason::SourceRange));
    }
    Ok(())
}

/// The slots that a client gets, and their list: the internal one for clients on this node, else the external one (S17). An empty
/// list is refused (S16).
#[inline(always)]
pub const fn select_list(service: &Service, internal: bool) -> Result<(SlotRange, List), Verdict> {
    let (range, list) = service.list(internal);
    if range.length == 0 { Err(service.empty_verdict()) } else { Ok((range, list)) }
}

/// Selects a backend from a range that is not empty: uniformly, if `random` is uniform (S23).
#[inline(always)]
pub fn select_backend(maps: &impl Maps, range: SlotRange, random: u32) -> Result<Selected, Verdict> {
    let slot = range.offset.wrapping_add(slot_index(random, range.length));
    get_backend(maps, maps.slot(slot).ok_or(MISSING)?).ok_or(MISSING)
}

/// The verdict if a slot or a memory names a backend that is not there.
pub const MISSING: Verdict = Verdict::Drop(DropReason::MissingBackend);

/// The backend with this id, if there is one.
#[inline(always)]
pub fn get_backend(maps: &impl Maps, id: u32) -> Option<Selected> {
    let backend = maps.backend(id)?;
    backend.is_valid().then_some(Selected { id, backend })
}
