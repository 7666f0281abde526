//! A flood from outside and its end: `flood` makes the packets of some flows, which a test run sends as live frames;
//! `arrive` takes them off the wire and counts them. The types shared with userspace are compiled into both.

/// Bytes of a packet: Ethernet, IPv4, UDP and 22 of data.
pub const FRAME: usize = 64;

/// Number of flows, a power of 2. Neighbours belong to different flows, so that GRO does not merge them.
pub const FLOWS: u16 = 64;

/// The packets of a flood, one flow after the other.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Flood {
    /// The packet of flow 0, in words as they are in memory. The source port of flow 0 has zeros in the bits that tell
    /// flows apart. The first two bytes of data are the complement of what is added to the port, so that all packets
    /// have one checksum.
    pub frame: [u64; FRAME / 8],
    /// The number of packets made so far.
    pub made: u64,
    /// Time from one packet to the next, ns.
    pub gap: u64,
    /// When the next packet is due, ns of the kernel's monotonic clock.
    pub due: u64,
}

/// What `arrive` does, and has counted.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Arrivals {
    /// 1: `arrive` drops IPv4 packets; else everything passes.
    pub ends: u64,
    /// The number of packets that were dropped.
    pub count: u64,
}
