//! DEVICES, NODE_ADDRESSES and ANSWERS: what the packet programs know about the machine they run on, and what
//! they may say in its name.

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

    /// Value of DEVICES, a hash by interface index.
    pub struct Device: 4 {
        /// [`Device::REDIRECT`] and its siblings.
        pub flags: u32,
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

impl Device {
    /// XDP programs may redirect to this device: it has a native XDP program of ours.
    pub const REDIRECT: u32 = 1;
    /// The host end of a pod: its clients are on this node (S17).
    pub const POD: u32 = 2;
    // Why it has its mode: for people who look, no program asks.

    /// TC serves it, since native XDP was tried and refused.
    pub const FELL_BACK: u32 = 4;
    /// TC serves it, since what native XDP sends from it may be lost.
    pub const UNSURE: u32 = 8;
    /// The command line names its mode.
    pub const ASKED: u32 = 16;
    /// TC serves it, since it carries no Ethernet frames, which XDP wants.
    pub const BARE: u32 = 64;
    /// Only its SCTP is served, as there are SCTP Services.
    pub const SCTP: u32 = 128;
    /// Native XDP serves it because the command line says so, and what that sends from it is lost, as far as can be told.
    pub const LOSSY: u32 = 32;
}

/// Index of NODE_ADDRESSES, an array of [`Address`](crate::Address): this node's IPv4 address, which forwarded
/// packets get as their source. All zeros when it has none.
pub const NODE_IPV4: u32 = 0;
/// The same for IPv6.
pub const NODE_IPV6: u32 = 1;
/// Entries of NODE_ADDRESSES. Those behind the first two are sources for backends that the kernel reaches from another
/// address of this node, such as those behind a tunnel: see [`Backend::source`](crate::Backend::source).
pub const SOURCES: u32 = 256;

/// A program that another one hands a packet over to: index of XDP_STAGES and TC_STAGES. What most packets need is
/// in the first program, so that the verifier and the stack have less to bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Stage {
    /// Opens a flow.
    Open = 0,
    /// Looks at ICMP that has come in.
    Icmp = 1,
    /// Turns the packet into a refusal of itself.
    Answer = 2,
    /// Looks at ICMP that is about to leave.
    IcmpEgress = 3,
    /// Sends a packet whose flow is in order now.
    Send = 4,
    /// Writes what a packet has changed of its flow where the other direction finds it.
    Touch = 5,
    /// The same for a packet that is about to leave.
    TouchEgress = 6,
    /// Not a stage of this set of programs: the first program of the set that it follows, while it does. See
    /// [`Phase`](crate::Phase).
    Previous = 7,
    /// The same for a packet that is about to leave.
    PreviousEgress = 8,
    /// Finds the way of a backend's answer where rules of policy routing look at sources.
    Uplink = 9,
    /// The first program of this set, from one that leaves all but SCTP alone.
    Ingress = 10,
    /// The same for a packet that is about to leave.
    Egress = 11,
    /// Sends what a process of this node sends to a Service by SCTP.
    Own = 12,
    /// Gives it the answers.
    OwnAnswer = 13,
}

impl Stage {
    /// Number of stages.
    pub const COUNT: usize = 14;
}
