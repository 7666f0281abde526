//! DEVICES, NODE_ADDRESSES and REJECT_BUDGET: what the packet programs know about the machine they run on.

use crate::pod::pod;

pod! {
    /// Value of REJECT_BUDGET: a token bucket of refusals, one a CPU.
    pub struct RejectBudget: 8 {
        /// Refusals that may still be sent.
        pub tokens: u32,
        /// When the bucket was filled last: jiffies, modulo 2³².
        pub filled: u32,
    }

    /// Value of DEVICES, a hash by interface index.
    pub struct Device: 4 {
        /// [`Device::REDIRECT`] and its siblings.
        pub flags: u32,
    }
}

impl Device {
    /// XDP programs may redirect to this device: it has a native XDP program of ours.
    pub const REDIRECT: u32 = 1;
    /// The host end of a pod: its clients are on this node (S17).
    pub const POD: u32 = 2;
    /// TC serves it although native XDP was wanted: for people who look, no program asks.
    pub const FELL_BACK: u32 = 4;
}

/// Index of NODE_ADDRESSES, an array of [`Address`](crate::Address): this node's IPv4 address, which forwarded
/// packets get as their source. All zeros when it has none.
pub const NODE_IPV4: u32 = 0;
/// The same for IPv6.
pub const NODE_IPV6: u32 = 1;
