//! SCRATCH: state carried from one program to the next, and buffers too large for the 512 bytes of BPF's stack.

use crate::{conntrack::ConntrackEntry, parsed_headers::Headers, pod::pod};

pod! {
    /// Value of SCRATCH, one for each CPU.
    pub struct Scratch: (if cfg!(feature = "other-abi") { 200 } else { 196 }) {
        /// The parsed headers of the packet.
        pub headers: Headers,
        /// The packet's flow.
        pub flow: ConntrackEntry,
        /// The entry of the other direction.
        pub reply: ConntrackEntry,
        /// What a program notes about the packet's flow for the next one (`scratch.rs` of `proxy-ebpf`).
        pub note: u32,
        /// Unused. It changes the layout, for tests.
        #[cfg(feature = "other-abi")]
        pub other: u32,
    }
}
