//! Checksums that are still to be filled in, told by their looks where the hook has nothing better. Whoever sends on the
//! same machine (containers behind a veth, virtual machines) leaves them to the network card, if there is one.

use core::mem::offset_of;

use proxy_common::{Family, Headers, Part, Protocol, checksum::fold};

use super::Packet;
use crate::headers::{Sctp, Tcp, Udp};

/// Whether a packet's transport checksum is what the kernel leaves in its place (`CHECKSUM_PARTIAL`): of TCP and UDP the
/// sum of the pseudo header, of SCTP 0. One finished checksum of 65,536 looks the same.
#[inline(always)]
pub fn looks_pending<P: Packet>(packet: &P, headers: &Headers) -> bool {
    // Only whole packets are left unfinished.
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
