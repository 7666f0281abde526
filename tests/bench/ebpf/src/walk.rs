//! What the benchmark tells the feeding program: the packet, and how it differs from one call to the next. Compiled
//! into both.

/// Bytes of a packet: Ethernet, IPv4 and TCP without options.
pub const FRAME: usize = 54;

/// Low bits of a flow's number that choose its port; the others choose its address.
pub const PORT_BITS: u32 = 14;

/// The packets of one measurement: those of flows 0, `step`, 2 · `step`, … modulo `flows`. A step that is far from 0
/// and `flows`, and has no factor in common with it, visits all flows in an order that no prefetcher guesses.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    /// The packet of flow 0, in words as they lie in memory; the last one is filled up with zeros.
    pub frame: [u64; FRAME.div_ceil(8)],
    /// Number of flows.
    pub flows: u32,
    /// From one flow to the next: below `flows`; 0 for a single flow.
    pub step: u32,
    /// The flow that is next.
    pub position: u32,
    /// By how many bits in its word the port that varies lies behind the source port: 0, or 16 for the destination's.
    pub port_shift: u32,
    /// Written after every packet.
    pub packets: u64,
    /// 1: the flow that the packet before may have opened is forgotten first. For walks of a single flow.
    pub forgets: u64,
    /// How long that has taken, in all: ns.
    pub forgetting: u64,
}

/// The parts of flow `index`'s address and port that are added to those of flow 0, host byte order.
#[must_use]
pub const fn of_flow(index: u32) -> (u32, u16) {
    let port = (index & ((1 << PORT_BITS) - 1)) as u16;
    (index >> PORT_BITS, port)
}
