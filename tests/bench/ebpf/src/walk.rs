//! What the benchmark tells the program `vary`: the packet, and how it differs from one call to the next. Compiled
//! into both.

/// Bytes of a packet: Ethernet, IPv4 and TCP without options.
pub const FRAME: usize = 54;

/// The number of low bits of a flow's number that choose its port; the other bits choose its address.
pub const PORT_BITS: u32 = 14;

/// The packets of one measurement: flows 0, `step`, 2 · `step`, … modulo `flows`. A step that is far from 0 and
/// `flows`, and has no factor in common with it, visits all flows in an order that no prefetcher guesses.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    /// The packet of flow 0, in words as they are in memory; the last word is padded with zeros.
    pub frame: [u64; FRAME.div_ceil(8)],
    /// Number of flows.
    pub flows: u32,
    /// Distance from one flow to the next: below `flows`; 0 for a single flow.
    pub step: u32,
    /// The number of the next flow.
    pub position: u32,
    /// By how many bits the varying port is behind the source port in its word: 0, or 16 for the destination port.
    pub port_shift: u32,
    /// Written after every packet.
    pub packets: u64,
    /// 1: first forgets the flow that the previous packet may have opened. For walks of a single flow.
    pub forgets: u64,
    /// The total time that forgetting has taken, ns.
    pub forgetting: u64,
}

/// The summands of flow `index` to the address and port of flow 0, host byte order.
#[must_use]
pub const fn of_flow(index: u32) -> (u32, u16) {
    let port = (index & ((1 << PORT_BITS) - 1)) as u16;
    (index >> PORT_BITS, port)
}
