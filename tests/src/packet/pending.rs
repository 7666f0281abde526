//! Packets whose finished checksum looks pending to a program that sees nothing but their bytes: one in 65,536.

use super::{Content, Packet, internet_sum};
use crate::scene::Family;

impl Packet {
    /// With a payload of two bytes for which its checksum, of TCP or UDP, looks pending.
    ///
    /// # Panics
    /// When the packet has no such checksum.
    #[must_use]
    pub fn looking_pending(self, family: Family) -> Self {
        let packet = self.payload(&[0, 0]);
        let (bytes, at) = (packet.bytes(family), packet.checksum_at(family).expect("with a checksum"));
        // The right checksum of the payload w is that of the payload 0, less w; sums are those of RFC 1071.
        let missing = !pseudo_sum(&bytes, family);
        let word = internet_sum(&[&bytes[at..at + 2], &missing.to_be_bytes()].concat());
        packet.payload(&word.to_be_bytes())
    }

    /// Whether the right transport checksum looks pending: it equals what the kernel writes where a network card will
    /// fill in the checksum, which is the sum of the pseudo header, for SCTP 0. XDP leaves such packets to TC.
    pub fn looks_pending(&self, family: Family) -> bool {
        let Some(at) = self.checksum_at(family) else { return false };
        let bytes = self.bytes(family);
        if matches!(self.content, Content::Sctp(_)) {
            return bytes[at..at + 4] == [0; 4];
        }
        bytes[at..at + 2] == pseudo_sum(&bytes, family).to_be_bytes()
    }

    /// The offset of the transport checksum, in a frame without tags, options and extension headers.
    fn checksum_at(&self, family: Family) -> Option<usize> {
        let offset = match self.content {
            Content::Tcp(_) => 16,
            Content::Udp(_) => 6,
            Content::Sctp(_) => 8,
            _ => return None,
        };
        Some(offset + if family == Family::Ipv4 { 34 } else { 54 })
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
