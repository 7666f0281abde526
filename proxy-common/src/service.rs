//! SERVICES: what a client dials, and which slots serve it.

use crate::{
    addr::Address,
    pod::pod,
    reason::{DropReason, RejectReason},
    verdict::Verdict,
};

pod! {
    /// Key of SERVICES: the address, port and protocol that a client dials.
    ///
    /// [`Address::any`] stands for every address of this node (NodePort). Port 0 with protocol 0 marks an address that a Service
    /// has: see [`FrontendKind::Owner`] and [`FrontendKind::ExternalOwner`].
    #[derive(PartialOrd, Ord, Hash)]
    pub struct Frontend: 20 {
        /// The dialled address.
        pub address: Address,
        /// The dialled port, host byte order.
        pub port: u16,
        /// IANA protocol number.
        pub protocol: u8,
        /// Zero.
        pub _pad: u8,
    }

    /// A contiguous part of SLOTS.
    pub struct SlotRange: 8 {
        /// Index of the first slot.
        pub offset: u32,
        /// Number of slots.
        pub length: u32,
    }

    /// Value of SERVICES.
    pub struct Service: 28 {
        /// Identifies the service port of one family. All its frontends have the same id, which is the index of GENERATIONS,
        /// SERVICE_COUNTERS and SERVICE_NAMES. 0 on entries that only mark an owned address.
        pub id: u32,
        /// A [`FrontendKind`].
        pub kind: u8,
        /// A combination of [`Service::USABLE`] and the flags below it.
        pub flags: u8,
        /// Zero.
        pub _pad: u16,
        /// Session affinity: seconds since the client's last new connection until it expires. 0 is no affinity (S24).
        pub affinity_timeout: u32,
        /// The list of backends for clients on this node.
        pub internal: SlotRange,
        /// The list of backends for packets from outside.
        pub external: SlotRange,
    }
}

impl Frontend {
    /// The frontend of an address, a port in host byte order and an IANA protocol number.
    #[inline(always)]
    pub const fn new(address: Address, port: u16, protocol: u8) -> Self {
        Self { address, port, protocol, _pad: 0 }
    }

    /// The entry that marks `address` as a Service's.
    #[inline(always)]
    pub const fn owner(address: Address) -> Self {
        Self::new(address, 0, 0)
    }
}

/// The kind of an entry of SERVICES. Its number is [`Service::kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum FrontendKind {
    /// Not a frontend: marks a ClusterIP. Its unserved ports are refused (S20).
    Owner = 0,
    /// One of `spec.clusterIPs`.
    ClusterIp = 1,
    /// The node port on any of this node's addresses.
    NodePort = 2,
    /// One of `spec.externalIPs`.
    ExternalIp = 3,
    /// One of `status.loadBalancer.ingress`.
    LoadBalancer = 4,
    /// Not a frontend: marks an address outside the cluster that a Service serves. Its unserved ports belong to the host (S20).
    ExternalOwner = 5,
}

impl FrontendKind {
    /// The kind with this number, if there is one.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Owner,
            1 => Self::ClusterIp,
            2 => Self::NodePort,
            3 => Self::ExternalIp,
            4 => Self::LoadBalancer,
            5 => Self::ExternalOwner,
            _ => return None,
        })
    }
}

/// Which of a service port's two lists of backends a slot range holds (S13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum List {
    /// The usable backends of all nodes, after topology.
    Cluster,
    /// The usable backends on this node.
    Local,
}

impl List {
    /// This list's bit in a [`Member`](crate::Member).
    #[inline(always)]
    pub const fn bit(self) -> u32 {
        match self {
            Self::Cluster => 1,
            Self::Local => 2,
        }
    }

    /// The bits of members that a flow of the list with this bit may stay with: those in the list, and those that have left it
    /// but still serve (S29). New flows and clients with affinity need one of the former.
    #[inline(always)]
    pub const fn serving(bit: u32) -> u32 {
        bit | Self::draining(bit)
    }

    /// The bit of a member that has left the list with this bit but still serves.
    #[inline(always)]
    pub const fn draining(bit: u32) -> u32 {
        bit << 2
    }
}

impl Service {
    /// A backend is usable on some node, so an empty range is a drop by policy, not a reject (S16). On the entry that marks an
    /// address: one of its ports has a usable backend, so an echo request gets a reply.
    pub const USABLE: u8 = 1;
    /// `internal` is the Local list.
    pub const INTERNAL_LOCAL: u8 = 2;
    /// `external` is the Local list.
    pub const EXTERNAL_LOCAL: u8 = 4;
    /// Only clients in SOURCE_RANGES are served (S21). For sockets of this node, whose source addresses are not known yet when
    /// they connect, the next two flags decide.
    pub const SOURCE_RANGES: u8 = 8;
    /// The node's own address is in SOURCE_RANGES: processes in its network namespace are served.
    pub const NODE_ALLOWED: u8 = 16;
    /// All addresses that this node's pods can have are in SOURCE_RANGES.
    pub const PODS_ALLOWED: u8 = 32;

    /// Which list `internal` holds.
    #[inline(always)]
    pub const fn internal_list(&self) -> List {
        if self.flags & Self::INTERNAL_LOCAL == 0 { List::Cluster } else { List::Local }
    }

    /// Which list `external` holds.
    #[inline(always)]
    pub const fn external_list(&self) -> List {
        if self.flags & Self::EXTERNAL_LOCAL == 0 { List::Cluster } else { List::Local }
    }

    /// The slots that a client gets, and which list they hold: the internal one on this node, else the external one (S17).
    #[inline(always)]
    pub const fn list(&self, internal: bool) -> (SlotRange, List) {
        if internal { (self.internal, self.internal_list()) } else { (self.external, self.external_list()) }
    }

    /// Whether sockets in the node's own network namespace (`is_node`), or else those in pods, are served (S21). Valid only with
    /// [`Service::SOURCE_RANGES`].
    #[inline(always)]
    pub const fn admits_socket(&self, is_node: bool) -> bool {
        let allowed = if is_node { Self::NODE_ALLOWED } else { Self::PODS_ALLOWED };
        self.flags & allowed != 0
    }

    /// The verdict about a new flow whose range is empty (S16).
    #[inline(always)]
    pub const fn empty_verdict(&self) -> Verdict {
        if self.flags & Self::USABLE == 0 {
            Verdict::Reject(RejectReason::NoBackend)
        } else {
            Verdict::Drop(DropReason::NoLocalBackend)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s16_empty_list_rejects_unless_policy_emptied_it() {
        let mut service = Service::default();
        assert_eq!(service.empty_verdict(), Verdict::Reject(RejectReason::NoBackend));
        service.flags = Service::USABLE | Service::INTERNAL_LOCAL;
        assert_eq!(service.empty_verdict(), Verdict::Drop(DropReason::NoLocalBackend));
        assert_eq!((service.internal_list(), service.external_list()), (List::Local, List::Cluster));
    }

    #[test]
    fn kinds_keep_their_numbers() {
        for number in 0..=5 {
            assert_eq!(FrontendKind::from_number(number).map(|kind| kind as u8), Some(number));
        }
        assert_eq!(FrontendKind::from_number(6), None);
    }
}
