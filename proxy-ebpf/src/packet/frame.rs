//! Ethernet headers at TC for packets and devices that have none: puts one before a packet, sends a packet out of a device
//! without them, and sends a packet back into this node.

#![expect(clippy::cast_possible_truncation, reason = "sizes and helpers' codes are small")]

use core::ptr::null_mut;

use aya_ebpf::{
    bindings::BPF_F_INGRESS,
    helpers::{bpf_redirect, bpf_redirect_neigh, bpf_skb_change_head},
};
use proxy_common::Device;

use super::{Packet as _, Skb};
use crate::{
    headers::{ETHER_IPV4, ETHER_IPV6, Ethernet},
    maps::DEVICES,
    route::Route,
};

/// Whether a packet leaves by a device without Ethernet frames, which has no neighbours. A tunnel without a fixed remote end,
/// such as Calico's IPIP, finds it in the packet's route. For such a device, the kernel resolves the neighbour to zeros.
#[inline(always)]
pub(super) fn leaves_by_route(route: &Route) -> bool {
    if route.is_resolved() {
        return route.ethernet(0).destination == [0; 3];
    }
    // SAFETY: the value is one word, read at once.
    unsafe { DEVICES.get(route.ifindex()) }.is_some_and(|device| device.flags & Device::BARE != 0)
}

/// Sends a packet, which must have an Ethernet header, out of a device. The kernel looks up the route itself and keeps it with
/// the packet.
#[inline(always)]
pub(super) fn redirect_by_route(ifindex: u32) -> i64 {
    // SAFETY: takes plain numbers: no neighbour is given.
    unsafe { bpf_redirect_neigh(ifindex, null_mut(), 0, 0) }
}

impl<const BEGIN: u8> Skb<BEGIN> {
    /// Puts an Ethernet header before the packet. The kernel removes it again if the packet leaves by a device without them.
    #[inline(always)]
    pub(super) fn push_ethernet(&mut self) -> Option<()> {
        let version = self.load::<u8>(0)? >> 4;
        // SAFETY: the helper takes the hook's context and inserts bytes.
        if unsafe { bpf_skb_change_head(self.raw, size_of::<Ethernet>() as u32, 0) } != 0 {
            return None;
        }
        let ether_type = if version == 4 { ETHER_IPV4 } else { ETHER_IPV6 };
        self.store(0, Ethernet { destination: [0; 3], source: [0; 3], ether_type: ether_type.to_be() })
    }

    /// Redirects the packet to the ingress of the device that `route` leaves by, as if the neighbour had sent it. `route` must be
    /// resolved.
    #[inline(always)]
    pub fn redirect_to_ingress(&mut self, route: &Route) -> Option<()> {
        if self.is_bare() {
            self.push_ethernet()?;
        }
        let Ethernet { source: own, destination: neighbour, ether_type } =
            route.ethernet(self.load::<Ethernet>(0)?.ether_type);
        self.store(0, Ethernet { destination: own, source: neighbour, ether_type })?;
        // SAFETY: takes plain numbers.
        self.action = unsafe { bpf_redirect(route.ifindex(), BPF_F_INGRESS.into()) } as i32;
        Some(())
    }
}
