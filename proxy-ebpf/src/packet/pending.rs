//! Recognizes checksums that are still to be filled in by their values, at a hook that knows no better. Senders on the same
//! machine (containers behind a veth, virtual machines) leave them to a network card, and there may be none.

use core::mem::offset_of;

use proxy_common::{Family, Headers, Part, Protocol, checksum::fold};

use super::Packet;
use crate::headers::{Sctp, Tcp, Udp};

/// Whether a packet's transport checksum has the value that the kernel leaves until it is filled in (`CHECKSUM_PARTIAL`): the sum
/// of the pseudo header for TCP and UDP, 0 for SCTP. One finished checksum in 65,536 has the same value.
#[inline(always)]
pub fn looks_pending<P: Packet>(packet: &P, headers: &Headers) -> bool {
    // The kernel leaves only whole packets unfinished.
    if headers.part() != Part::Whole {
        return false;
    }
    let at = headers.transport();
    let checksum: Option<u16> = match Protocol::from_number(headers.tuple.protocol.into()) {
        Some(Protocol::Tcp) => packet.load(at + offset_of!(Tcp, checksum)),
        Some(Protocol::Udp) => packet.load(at + offset_of!(Udp, checksum)),
        Some(Protocol::Sctp) => return packet.load::<u32>(at + offset_of!(Sctp, checksum)) == Some(0),
        None => None,
    };
    checksum == Some(fold(sum_pseudo(headers)))
}

/// The sum of the pseudo header (RFC 9293 §3.1, RFC 8200 §8.1).
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "a packet's length has 16 bits")]
fn sum_pseudo(headers: &Headers) -> u64 {
    let (source, destination) = (headers.tuple.source.words(), headers.tuple.destination.words());
    let word = |words: [u32; 4], index: usize| u64::from(words[index]);
    let length = (headers.end() - headers.transport()) as u16;
    let rest = u64::from(length.to_be()) + u64::from(u16::from(headers.tuple.protocol).to_be());
    let sum = rest + word(source, 3) + word(destination, 3);
    match headers.family() {
        Family::Ipv4 => sum,
        Family::Ipv6 => (0..3).fold(sum, |sum, index| sum + word(source, index) + word(destination, index)),
    }
}
