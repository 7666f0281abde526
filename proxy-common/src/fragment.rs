//! FRAGMENTS: the ports of a fragmented packet, which only its first fragment carries (S28).

use crate::{addr::Address, pod::pod};

pod! {
    /// Key of FRAGMENTS: what all fragments of one packet share (RFC 791 §3.2, RFC 8200 §4.5).
    pub struct Fragment: 40 {
        /// Source address.
        pub source: Address,
        /// Destination address.
        pub destination: Address,
        /// Identification, in network byte order.
        pub identification: u32,
        /// IANA protocol number.
        pub protocol: u8,
        /// Zero.
        pub _pad: [u8; 3],
    }

    /// Value of FRAGMENTS.
    pub struct FragmentPorts: 8 {
        /// Source port, host byte order.
        pub source_port: u16,
        /// Destination port, host byte order.
        pub destination_port: u16,
        /// The time at which the entry expires: jiffies, modulo 2³².
        pub expires: u32,
    }
}
