//! Stage *uplink*: sends the reply of a backend on this node out of the device that the kernel would choose for a packet from the
//! frontend's address. The stack has routed it by the backend's address, for which policy routing may choose another device (pods
//! with an uplink of their own, as on EKS). The network there does not accept the frontend's address as a source.
//!
//! Nodes without such rules skip this stage: the agent sets [`AddressClass::RULES`] only if there are any.

use proxy_common::{ConntrackEntry, Headers, Verdict, filter::AddressClass};

use crate::{
    emit::{deliver, send_reply},
    packet::Packet,
    route::Route,
    scratch::Rooms,
};

/// Whether a reply from an address of this class needs the stage *uplink*.
#[inline(always)]
pub const fn has_source_rules(class: u8) -> bool {
    class & AddressClass::RULES != 0
}

/// Handles a reply of a backend on this node that is about to leave and is not translated yet.
#[inline(always)]
pub fn reply<P: Packet>(packet: &mut P, rooms: Rooms<'_>) -> Result<(), Verdict> {
    let (headers, flow) = (rooms.headers.get()?, rooms.flow.get()?);
    let mut route = Route::new();
    if needs_other_device(packet, headers, flow, &mut route) {
        send_reply(packet, headers, flow, &route)
    } else {
        deliver(packet, headers, flow)
    }
}

/// Whether a packet that leaves needs another device than the stack has chosen. If so, `route` is the way out.
#[inline(always)]
pub fn needs_other_device<P: Packet>(packet: &P, headers: &Headers, flow: &ConntrackEntry, route: &mut Route) -> bool {
    // A tagged packet leaves by its VLAN's device, of which this one is the parent.
    !packet.is_tagged(headers.network()) && route.leads_elsewhere(packet, headers, flow)
}
