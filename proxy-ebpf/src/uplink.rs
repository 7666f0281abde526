//! Stage *uplink*: sends the reply of a backend on this node out of the device that the kernel would choose for a packet from
//! the frontend's address. The stack has routed it by the backend's address, which rules of policy routing may lead elsewhere (pods with an
//! uplink of their own, as on EKS): the network there does not take the frontend's address for one of its own.
//!
//! Only nodes with such rules pay: the agent sets [`AddressClass::RULES`].

use proxy_common::{ConntrackEntry, Headers, Verdict, filter::AddressClass};

use crate::{
    emit::{deliver, deliver_by},
    packet::Packet,
    route::Route,
    scratch::Rooms,
};

/// Whether a reply from an address of this class is to be asked about.
#[inline(always)]
pub const fn is_ruled(class: u8) -> bool {
    class & AddressClass::RULES != 0
}

/// A reply of a backend on this node that is about to leave, not yet translated.
#[inline(always)]
pub fn reply<P: Packet>(packet: &mut P, rooms: Rooms<'_>) -> Result<(), Verdict> {
    let (headers, flow) = (rooms.headers.get()?, rooms.flow.get()?);
    let mut route = Route::new();
    if is_astray(packet, headers, flow, &mut route) {
        deliver_by(packet, headers, flow, &route)
    } else {
        deliver(packet, headers, flow)
    }
}

/// Whether a packet that leaves is to go another way, which is then known.
#[inline(always)]
pub fn is_astray<P: Packet>(packet: &P, headers: &Headers, flow: &ConntrackEntry, route: &mut Route) -> bool {
    // A VLAN's parent is on the VLAN's way.
    !packet.is_tagged(headers.network()) && route.leads_elsewhere(packet, headers, flow)
}
