//! REJECTS: the rate limit of refusals, and the refusal that the current packet is turned into.

use crate::{pod::pod, shared::parts};

pod! {
    /// Value of REJECTS, one for each CPU: the token bucket of refusals, and the refusal of the current packet.
    pub struct Reject: 20 {
        /// Tokens left: refusals that may still be sent.
        pub tokens: u32,
        /// The time at which the bucket was last filled: jiffies, modulo 2³².
        pub filled: u32,
        /// The refusal: [`Reject::PORT_UNREACHABLE`], [`Reject::TOO_BIG`], [`Reject::HOP_LIMIT`] or [`Reject::SILENT`], and perhaps
        /// [`Reject::BARE`].
        pub kind: u32,
        /// The MTU that the packet exceeds, bytes.
        pub mtu: u32,
        /// The [`Counter`](crate::Counter) of the refusal's reason.
        pub counter: u32,
    }
}

parts! {
    Reject { tokens: u32, filled: u32, kind: u32, mtu: u32, counter: u32 }
}

impl Reject {
    /// The packet is refused: by a reset for TCP, else by an ICMP error.
    pub const PORT_UNREACHABLE: u32 = 0;
    /// The packet is longer than `mtu`.
    pub const TOO_BIG: u32 = 1;
    /// The packet's hop limit has run out.
    pub const HOP_LIMIT: u32 = 2;
    /// The packet is dropped. It comes to the stage *reject* only for the monitor.
    pub const SILENT: u32 = 3;
    /// Flag beside one of the kinds: the packet begins with its network header.
    pub const BARE: u32 = 0x100;
}
