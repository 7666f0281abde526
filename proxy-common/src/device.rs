//! DEVICES: the devices of this node, with what the packet programs need to know.

use crate::pod::pod;

pod! {
    /// Value of DEVICES, a hash with the interface index as the key.
    pub struct Device: 4 {
        /// A combination of the flags below.
        pub flags: u32,
    }
}

impl Device {
    /// XDP programs may redirect to this device: it has a native XDP program of ours.
    pub const REDIRECT: u32 = 1;
    /// The device is the host end of a pod, whose clients are on this node (S17).
    pub const POD: u32 = 2;
    // The other flags tell why the device has its mode. They are for people who look at the map; programs read only BARE.

    /// TC serves the device, since native XDP was tried and refused.
    pub const FELL_BACK: u32 = 4;
    /// TC serves the device, since packets that native XDP sends from it may be lost.
    pub const UNSURE: u32 = 8;
    /// The command line sets the device's mode.
    pub const MODE_IS_CHOSEN: u32 = 16;
    /// TC serves the device, since it carries no Ethernet frames, which XDP needs.
    pub const BARE: u32 = 64;
    /// Only SCTP is served on the device, because there are SCTP Services.
    pub const SCTP: u32 = 128;
    /// Native XDP serves the device because the command line says so, but packets that it sends are probably lost.
    pub const LOSSY: u32 = 32;
}
