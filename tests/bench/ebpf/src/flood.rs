//! A flood from outside and where it ends: `flood` makes the packets of some flows, to be sent by a test run with live
//! frames; `arrive` takes them off the wire and counts them. What they share with userspace is compiled into both.

/// Bytes of a packet: Ethernet, IPv4, UDP and 22 of data.
pub const FRAME: usize = 64;

/// Number of flows, a power of 2. Neighbours are of different flows, so that nobody merges them.
pub const FLOWS: u16 = 64;

/// The packets of a flood, one flow after the other.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Flood {
    /// The packet of flow 0, in words as they lie in memory. The source port of flow 0 has zeros where the others count;
    /// the first two bytes of data are the complement of what is added to it, so that all have the same checksum.
    pub frame: [u64; FRAME / 8],
    /// How many have been made.
    pub made: u64,
    /// From one packet to the next, ns.
    pub gap: u64,
    /// When the next one is due, ns of the kernel's monotonic clock.
    pub due: u64,
}

/// What `arrive` does.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Arrivals {
    /// 1: IPv4 packets end here; else everything passes.
    pub ends: u64,
    /// How many have ended.
    pub count: u64,
}
