//! A captured packet, from the event of the tracing programs: what the traced program received, and what it made of it.

use std::mem;

use proxy_common::{
    Counter, Outcome,
    capture::{Captured, HEAD, bits},
};

use super::{
    frame::Frame,
    hook::{Fate, Stage},
};
use crate::commands::cli::PacketVerdict;

/// The bytes of a frame, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bytes {
    pub(super) known: Vec<u8>,
    /// Length of the whole frame, bytes.
    pub(super) length: u32,
}

/// A captured packet.
#[derive(Clone, Debug)]
pub struct Packet {
    pub(super) captured: Captured,
    pub(super) stage: Stage,
    /// Whether it has no Ethernet header.
    pub(super) is_bare: bool,
    /// As the program received it.
    pub(super) received: Bytes,
    /// As it goes on; `None` if it ends here, or goes on to the stack unchanged.
    pub(super) sent: Option<Bytes>,
    pub(super) received_frame: Option<Frame>,
    pub(super) sent_frame: Option<Frame>,
}

/// Splits an event into its description and the packet's bytes. `None` if it is too short.
pub(super) fn split(event: &[u8]) -> Option<(Captured, &[u8])> {
    let (captured, rest) = event.split_at_checked(size_of::<Captured>())?;
    let captured: Captured = bytemuck::pod_read_unaligned(captured);
    Some((captured, rest.get(..captured.bytes as usize)?))
}

impl Packet {
    /// Takes an event of a program at `stage`. `left` are the packet's bytes when the program ended.
    pub fn new(captured: Captured, left: &[u8], stage: Stage, is_bare: bool) -> Self {
        let received = received(&captured, left);
        let left = Bytes { known: left.to_vec(), length: captured.sent_length };
        let sent = match stage.fate(captured.action) {
            Fate::Ends => None,
            Fate::Goes if is_equal(&left, &received) => None,
            Fate::Goes | Fate::SentBack | Fate::Redirected => Some(left),
        };
        let parse = |bytes: &Bytes| Frame::parse(&bytes.known, is_bare);
        let (received_frame, sent_frame) = (parse(&received), sent.as_ref().and_then(parse));
        Self { captured, stage, is_bare, received, sent, received_frame, sent_frame }
    }

    pub(super) fn fate(&self) -> Fate {
        self.stage.fate(self.captured.action)
    }

    pub(super) fn has_counted(&self, counter: Counter) -> bool {
        self.captured.counters & bits(counter) != 0
    }

    /// Returns the reason for which it was refused.
    pub(super) fn refusal(&self) -> Option<Counter> {
        Counter::ALL.into_iter().find(|counter| self.has_counted(*counter) && counter.label().0 != Outcome::Done)
    }

    /// Returns what the program has decided.
    pub(super) fn verdict(&self) -> PacketVerdict {
        match self.refusal().map(|counter| counter.label().0) {
            Some(Outcome::Rejected) => PacketVerdict::Rejected,
            Some(_) => PacketVerdict::Dropped,
            None if self.has_counted(Counter::EchoReply) => PacketVerdict::EchoReply,
            None if self.has_counted(Counter::PacketForwarded) => PacketVerdict::Forwarded,
            None if self.has_counted(Counter::PacketTranslated) => PacketVerdict::Translated,
            None => match self.fate() {
                Fate::Goes => PacketVerdict::Passed,
                Fate::Ends => PacketVerdict::Dropped,
                Fate::SentBack | Fate::Redirected => PacketVerdict::Forwarded,
            },
        }
    }

    /// Returns the frames, the received one first.
    pub(super) fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.received_frame.iter().chain(&self.sent_frame)
    }

    /// Takes the bytes out.
    pub(super) fn take_bytes(&mut self) -> (Bytes, Option<Bytes>) {
        (mem::take(&mut self.received), self.sent.take())
    }
}

/// Returns what was received. Its beginning was noted. What follows is as the program has left it, if the packet has kept its
/// length: programs change headers only, which the noted part covers.
fn received(captured: &Captured, left: &[u8]) -> Bytes {
    let length = captured.received_length;
    let noted = (captured.head_length as usize).min(HEAD);
    let mut known = captured.head[..noted].to_vec();
    if noted == HEAD && length == captured.sent_length {
        known.extend(left.iter().skip(HEAD));
    }
    // As long as the frame that was sent, if snaplen cuts it.
    if captured.bytes < captured.sent_length {
        known.truncate(captured.bytes as usize);
    }
    known.truncate(length as usize);
    Bytes { known, length }
}

/// Whether two frames are the same, as far as both are known.
fn is_equal(one: &Bytes, other: &Bytes) -> bool {
    let common = one.known.len().min(other.known.len());
    one.length == other.length && one.known[..common] == other.known[..common]
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::commands::capture::frame::tests::tcp;

    /// The event of a packet that was received as `received` and left as `left`.
    pub(in super::super) fn event(received: &[u8], left: &[u8], action: i32, counters: &[Counter]) -> Captured {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap();
        let noted = received.len().min(HEAD);
        let mut captured = Captured {
            received_at: 1_000,
            sent_at: 2_000,
            counters: counters.iter().map(|counter| bits(*counter)).sum(),
            device: 2,
            program: 7,
            action,
            received_length: length(received),
            sent_length: length(left),
            bytes: length(left),
            head_length: u32::try_from(noted).unwrap(),
            ..Captured::default()
        };
        captured.head[..noted].copy_from_slice(&received[..noted]);
        captured
    }

    /// A SYN to a node port, and as it goes to the backend.
    pub(in super::super) fn forwarded() -> Packet {
        let received = tcp(([192, 0, 2, 9], 40000), ([192, 168, 50, 1], 30080), false);
        let left = tcp(([192, 168, 50, 1], 40000), ([10, 244, 2, 1], 8080), false);
        let captured = event(&received, &left, 3, &[Counter::PacketForwarded, Counter::FlowOpened]);
        Packet::new(captured, &left, Stage::Xdp, false)
    }

    #[test]
    fn an_event_is_a_description_and_bytes_with_padding() {
        let captured = event(b"abcde", b"abcd", 2, &[]);
        let event = [bytemuck::bytes_of(&captured), b"abcd\0\0\0\0"].concat();
        assert_eq!(split(&event), Some((captured, b"abcd".as_slice())));
        assert_eq!(split(&event[..size_of::<Captured>() + 3]), None);
        assert_eq!(split(&event[..9]), None);
    }

    #[test]
    fn a_long_packet_keeps_its_payload_and_a_refusal_does_not() {
        let mut received: Vec<u8> = (0..=u8::MAX).cycle().take(600).collect();
        let mut left = received.clone();
        left[30] = 99;
        let packet = Packet::new(event(&received, &left, 3, &[]), &left, Stage::Xdp, false);
        assert_eq!(packet.received.known, received);
        assert_eq!(packet.sent.unwrap().known, left);
        let packet = Packet::new(event(&received, &left[..54], 3, &[]), &left[..54], Stage::Xdp, false);
        received.truncate(HEAD);
        assert_eq!((packet.received.known, packet.received.length), (received, 600));
    }

    #[test]
    fn snaplen_cuts_both_frames() {
        let received = vec![7; 600];
        for snaplen in [100, 300] {
            let captured = Captured { bytes: snaplen, ..event(&received, &received, 3, &[]) };
            let packet = Packet::new(captured, &received[..snaplen as usize], Stage::Xdp, false);
            let sent = packet.sent.unwrap();
            assert_eq!((packet.received.known.len(), sent.known.len()), (snaplen as usize, snaplen as usize));
            assert_eq!((packet.received.length, sent.length), (600, 600));
        }
    }

    #[test]
    fn what_passes_unchanged_and_what_ends_is_not_sent() {
        let bytes = tcp(([192, 0, 2, 9], 40000), ([192, 0, 2, 1], 22), false);
        let sent = |action| Packet::new(event(&bytes, &bytes, action, &[]), &bytes, Stage::Xdp, false).sent;
        assert!(sent(2).is_none() && sent(1).is_none() && sent(3).is_some());
        assert!(forwarded().sent_frame.unwrap().has_port(8080));
    }

    #[test]
    fn the_verdict_follows_from_counters_and_action() {
        let bytes = tcp(([192, 0, 2, 9], 40000), ([192, 0, 2, 1], 22), false);
        for (action, counters, verdict, refusal) in [
            (2, &[][..], PacketVerdict::Passed, None),
            (2, &[Counter::PacketTranslated], PacketVerdict::Translated, None),
            (3, &[Counter::PacketForwarded, Counter::FlowOpened], PacketVerdict::Forwarded, None),
            (3, &[Counter::EchoReply], PacketVerdict::EchoReply, None),
            (3, &[Counter::RejectNoBackend], PacketVerdict::Rejected, Some(Counter::RejectNoBackend)),
            (1, &[Counter::DropSourceRange], PacketVerdict::Dropped, Some(Counter::DropSourceRange)),
            (1, &[], PacketVerdict::Dropped, None),
        ] {
            let packet = Packet::new(event(&bytes, &bytes, action, counters), &bytes, Stage::Xdp, false);
            assert_eq!((packet.verdict(), packet.refusal()), (verdict, refusal), "{action} {counters:?}");
        }
    }
}
