//! DEVICES: what the packet programs know of the devices of this node.

use crate::pod::pod;

pod! {
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
