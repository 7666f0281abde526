//! SCRATCH: state carried from one program to the next, and buffers too large for the 512 bytes of BPF's stack.

use crate::{conntrack::ConntrackEntry, parsed::Headers, pod::pod};

pod! {
    /// Value of SCRATCH, one a CPU: what one program leaves for the next about the packet at hand, and room that the
    /// stack has not.
    pub struct Scratch: (if cfg!(feature = "other-abi") { 200 } else { 196 }) {
        /// What the packet's headers say.
        pub headers: Headers,
        /// The packet's flow.
        pub flow: ConntrackEntry,
        /// The entry of the other direction.
        pub reply: ConntrackEntry,
        /// 1: the packet's entry was found among the assured ones.
        pub assured: u32,
        /// Nothing: another layout, for tests.
        #[cfg(feature = "other-abi")]
        pub other: u32,
    }
}
