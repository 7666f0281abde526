//! Which finished packets look unfinished to a program that sees nothing but their bytes: one of 65,536.

use super::{Content, Packet, internet_sum};
use crate::scene::Family;

impl Packet {
    /// Whether the transport checksum, right as it is, is what the kernel leaves in the place of one that a network card
    /// is to fill in: the sum of the pseudo header, of SCTP 0. XDP leaves such packets to TC.
    pub fn looks_pending(&self, family: Family) -> bool {
        let offset = match self.content {
            Content::Tcp(_) => 16,
            Content::Udp(_) => 6,
            Content::Sctp(_) => 8,
            _ => return false,
        };
        let bytes = self.bytes(family);
        let at = offset + if family == Family::Ipv4 { 34 } else { 54 };
        if matches!(self.content, Content::Sctp(_)) {
            return bytes[at..at + 4] == [0; 4];
        }
        bytes[at..at + 2] == pseudo_sum(&bytes, family).to_be_bytes()
    }
}

/// The sum of the pseudo header of a frame without tags, options and extension headers.
fn pseudo_sum(frame: &[u8], family: Family) -> u16 {
    let (addresses, protocol, transport) = match family {
        Family::Ipv4 => (26..34, 23, 34),
        Family::Ipv6 => (22..54, 20, 54),
    };
    let length = u16::try_from(frame.len() - transport).expect("packets are short").to_be_bytes();
    internet_sum(&[&frame[addresses], &[0, frame[protocol]], &length].concat())
}
