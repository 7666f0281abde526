//! What `waggle capture` and its tracing programs exchange. These maps belong to one capture and are never pinned, so a change here
//! changes no ABI.

use crate::{pod::pod, reason::Counter};

/// The bytes of a packet that are noted before the traced program changes them. They cover every header that it may rewrite.
pub const HEAD: usize = 256;

/// The most counters that are compared.
pub const COUNTERS: usize = 32;

const _: () = assert!(Counter::ALL.len() <= COUNTERS, "a counter is not compared");

/// The bits of a counter in [`Captured::counters`].
pub const fn bits(counter: Counter) -> u64 {
    3 << (2 * counter as u32)
}

/// The most bytes of a packet that fit into an event. The kernel counts an event's bytes in 16 bits.
pub const SNAPLEN_MAX: u32 = 60_000;

pod! {
    /// Where the running kernel has the fields that the programs read, bytes from the beginning of their struct.
    pub struct Offsets: 36 {
        /// `xdp_buff.data`
        pub xdp_data: u32,
        /// `xdp_buff.data_end`
        pub xdp_data_end: u32,
        /// `xdp_buff.rxq`
        pub xdp_rxq: u32,
        /// `xdp_rxq_info.dev`
        pub rxq_device: u32,
        /// `sk_buff.data`
        pub skb_data: u32,
        /// `sk_buff.len`
        pub skb_length: u32,
        /// `sk_buff.data_len`
        pub skb_data_length: u32,
        /// `sk_buff.dev`
        pub skb_device: u32,
        /// `net_device.ifindex`
        pub device_index: u32,
    }

    /// What is to be captured.
    pub struct Settings: 56 {
        /// Only packets that have raised one of these counters, by their [`bits`]; 0 for no such condition.
        pub counters: u64,
        /// Where the kernel has its fields.
        pub offsets: Offsets,
        /// The most bytes of a packet.
        pub snaplen: u32,
        /// 1: also packets that have raised no counter and pass.
        pub all: u32,
        /// 1: only packets of the devices in the map WANTED.
        pub by_device: u32,
    }

    /// The event of a packet. The packet's bytes follow, as the traced program has left them.
    pub struct Captured: 312 {
        /// When the traced program got the packet, ns since boot (CLOCK_MONOTONIC).
        pub received_at: u64,
        /// When it ended, likewise.
        pub sent_at: u64,
        /// How often it has raised each counter on this CPU, two bits for each: see [`bits`].
        pub counters: u64,
        /// Index of the device.
        pub device: u32,
        /// Id of the traced program.
        pub program: u32,
        /// What the traced program has returned: an XDP or TC action.
        pub action: i32,
        /// Length of the packet as it was received, bytes.
        pub received_length: u32,
        /// Length of the packet when the program ended, bytes.
        pub sent_length: u32,
        /// How many of the packet's bytes follow.
        pub bytes: u32,
        /// How many bytes of `head` are filled in.
        pub head_length: u32,
        /// Zero.
        pub _pad: u32,
        /// The beginning of the packet as it was received.
        pub head: [u8; HEAD],
    }

    /// What is noted of a packet on a CPU while the traced program runs.
    pub struct Note: 584 {
        /// The event, half filled in.
        pub captured: Captured,
        /// This CPU's counters before the program.
        pub counters: [u64; COUNTERS],
        /// Address of the packet's buffer, so that the end of the program finds its own beginning; 0 if there is none.
        pub buffer: u64,
        /// Where the programs write that address to read it as a number.
        pub address: u64,
    }
}
