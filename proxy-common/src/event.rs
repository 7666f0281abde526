//! EVENTS, MONITOR and MONITORED_SERVICES: what the programs report to `waggle monitor`, and what it wants to know.

use crate::{addr::Address, pod::pod, reason::Counter, shared::parts};

/// What has happened. A bit of [`Monitor::kinds`] stands for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum EventKind {
    /// A flow or a socket's connection has got its backend.
    New = 0,
    /// A flow has been closed or reset, or a connected socket has been closed.
    End = 1,
    /// A flow has left its backend, which does not serve it any more. What its client sends next opens a new one.
    Reselect = 2,
    /// A call or a packet has been refused with an error that the client sees.
    Reject = 3,
    /// A call or a packet has been refused silently, or as unreachable.
    Drop = 4,
}

impl EventKind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::New, Self::End, Self::Reselect, Self::Reject, Self::Drop];

    /// The kind with this number, if there is one.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// The kind's bit in [`Monitor::kinds`].
    #[inline(always)]
    pub const fn bit(self) -> u32 {
        1 << self as u8
    }

    /// The kind's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::End => "end",
            Self::Reselect => "reselect",
            Self::Reject => "reject",
            Self::Drop => "drop",
        }
    }
}

/// Where an event was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EventHook {
    /// A call of a process, or the end of its socket.
    Socket = 0,
    /// A packet at XDP.
    Xdp = 1,
    /// A packet at TC.
    Tc = 2,
}

impl EventHook {
    /// The hook's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Xdp => "xdp",
            Self::Tc => "tc",
        }
    }

    /// The hook with this number, if there is one.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Socket, Self::Xdp, Self::Tc].into_iter().find(|hook| *hook as u8 == number)
    }
}

pod! {
    /// Value of EVENTS: what has happened to a flow, a call or a packet. Ports are in host byte order.
    pub struct Event: 104 {
        /// The time: ns on the kernel's monotonic clock.
        pub time: u64,
        /// Sockets: the cookie of the client's network namespace. Packets: 0.
        pub netns: u64,
        /// An [`EventKind`].
        pub kind: u8,
        /// Of a refusal: its [`Counter`]. Of the end of a flow of packets: its [`State`](crate::State). Else 0.
        pub reason: u8,
        /// An [`EventHook`].
        pub hook: u8,
        /// IANA protocol number.
        pub protocol: u8,
        /// Service id; 0 if it is not known.
        pub service: u32,
        /// The client's address. Of a socket: what it is bound to, and if it is not bound, the unspecified address. Of a refused
        /// packet: its source.
        pub client: Address,
        /// The address that the client has dialled. Of a refused packet: its destination.
        pub frontend: Address,
        /// The backend's address; `::` if there is none.
        pub backend: Address,
        /// The client's port; 0 if it is not known.
        pub client_port: u16,
        /// The dialled port.
        pub frontend_port: u16,
        /// The backend's port.
        pub backend_port: u16,
        /// Zero.
        pub _pad: u16,
        /// Packets: interface index of the device. Sockets: 0.
        pub device: u32,
        /// Sockets: id of the process (thread group) in the initial PID namespace. Packets: 0.
        pub process: u32,
        /// Sockets: the name of the thread, ended by a zero. Packets: zeros.
        pub command: [u8; 16],
    }

    /// Value of MONITOR, its only one: what the running `waggle monitor` wants to know.
    pub struct Monitor: 64 {
        /// The time until which events are wanted: ns on the kernel's monotonic clock. The command renews it while it runs.
        pub expires: u64,
        /// The bits of the [`Counter`]s of wanted refusals; 0 is all.
        pub reasons: u64,
        /// The bits of the wanted kinds; 0 is none: no monitor runs.
        pub kinds: u32,
        /// Of so many events that fit, about one is reported, by chance; 0 and 1 are all.
        pub sample: u32,
        /// Clients whose addresses, masked by `client_mask`, are equal to this.
        pub client: Address,
        /// The bits of `client` that count.
        pub client_mask: Address,
        /// The dialled port, host byte order; 0 is any.
        pub port: u16,
        /// IANA protocol number; 0 is any.
        pub protocol: u8,
        /// Not 0 if only services in MONITORED_SERVICES are wanted.
        pub by_service: u8,
        /// Id of the process of the command, for people.
        pub process: u32,
    }
}

parts! {
    Monitor {
        expires: u64,
        reasons: u64,
        kinds: u32,
        sample: u32,
        client: Address,
        client_mask: Address,
        port: u16,
        protocol: u8,
        by_service: u8
    }
}

impl Monitor {
    /// Whether refusals with this counter are wanted. Events of other kinds, which have none, always are.
    #[inline(always)]
    pub const fn wants_reason(reasons: u64, kind: EventKind, reason: u8) -> bool {
        let is_refusal = matches!(kind, EventKind::Reject | EventKind::Drop);
        reasons == 0 || !is_refusal || reasons >> (reason & 63) & 1 != 0
    }

    /// Whether an address has the bits of `prefix` wherever `mask` has one.
    #[inline(always)]
    pub const fn is_in(address: &Address, prefix: &Address, mask: &Address) -> bool {
        let (address, prefix, mask) = (address.words(), prefix.words(), mask.words());
        let differ = (address[0] ^ prefix[0]) & mask[0]
            | (address[1] ^ prefix[1]) & mask[1]
            | (address[2] ^ prefix[2]) & mask[2]
            | (address[3] ^ prefix[3]) & mask[3];
        differ == 0
    }
}

// `Monitor::reasons` has a bit for each.
const _: () = assert!(Counter::ALL.len() <= u64::BITS as usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_hooks_are_known_by_their_numbers() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_number(kind as u8), Some(kind));
            assert_eq!(kind.bit().count_ones(), 1);
        }
        assert_eq!(EventKind::from_number(5), None);
        for hook in [EventHook::Socket, EventHook::Xdp, EventHook::Tc] {
            assert_eq!(EventHook::from_number(hook as u8), Some(hook));
        }
        assert_eq!(EventHook::from_number(3), None);
    }

    #[test]
    fn only_refusals_are_chosen_by_their_reasons() {
        let reasons = 1 << Counter::DropNoRoute as u32;
        let wants = |kind, counter: Counter| Monitor::wants_reason(reasons, kind, counter as u8);
        assert!(wants(EventKind::Drop, Counter::DropNoRoute));
        assert!(!wants(EventKind::Drop, Counter::DropTooBig));
        assert!(!wants(EventKind::Reject, Counter::RejectNoBackend));
        assert!(Monitor::wants_reason(reasons, EventKind::End, 6), "the number of a state");
        assert!(Monitor::wants_reason(0, EventKind::Drop, Counter::DropTooBig as u8), "all reasons");
    }

    #[test]
    fn clients_are_chosen_by_a_prefix() {
        let [inside, outside, prefix] = [[192, 0, 2, 9], [192, 0, 3, 9], [192, 0, 2, 0]].map(Address::from);
        let mask = Address::from_words([!0, !0, !0, 0xffff_ff00_u32.to_be()]);
        assert!(Monitor::is_in(&inside, &prefix, &mask));
        assert!(!Monitor::is_in(&outside, &prefix, &mask));
        assert!(!Monitor::is_in(&Address::ANY_IPV4, &prefix, &mask), "the client is not known");
        assert!(Monitor::is_in(&outside, &Address::default(), &Address::default()), "any client");
    }
}
