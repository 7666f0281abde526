//! ANSWERS: the rate limit of refusals, and the refusal that a packet is to be turned into.

use crate::pod::pod;

pod! {
    /// Value of ANSWERS, one a CPU: a token bucket of refusals, and the one that is on its way.
    pub struct Answer: 20 {
        /// Refusals that may still be sent.
        pub tokens: u32,
        /// When the bucket was filled last: jiffies, modulo 2³².
        pub filled: u32,
        /// [`Answer::PORT_UNREACHABLE`] and its siblings: what the packet at hand is to be told.
        pub kind: u32,
        /// The MTU that it is too big for.
        pub mtu: u32,
        /// The [`Counter`](crate::Counter) of the reason.
        pub counter: u32,
    }
}

impl Answer {
    /// Nobody listens: a reset, or an ICMP error.
    pub const PORT_UNREACHABLE: u32 = 0;
    /// The packet is longer than `mtu`.
    pub const TOO_BIG: u32 = 1;
    /// Its hop limit has run out.
    pub const HOP_LIMIT: u32 = 2;
    /// Beside one of these: the packet begins with its network header.
    pub const BARE: u32 = 0x100;
}
