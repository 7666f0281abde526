//! What a program decided about a connect or a packet.

use crate::reason::{DropReason, RejectReason};

/// The decision of a program about a call or a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Not a Service's: leave it as it is.
    Pass,
    /// The addresses have been rewritten; the stack takes it from here.
    Translated,
    /// The packet has been rewritten and leaves by the hook itself.
    Forwarded,
    /// The packet was an echo request and has become the reply.
    EchoReply,
    /// Refuse with an error that the client sees at once.
    Reject(RejectReason),
    /// Refuse silently (packets) or as unreachable (sockets).
    Drop(DropReason),
}

impl Verdict {
    /// The verdict as a number, never 0, since subprograms of eBPF can't return an enum.
    #[inline(always)]
    pub const fn code(self) -> u32 {
        match self {
            Self::Pass => 1,
            Self::Translated => 2,
            Self::Forwarded => 3,
            Self::EchoReply => 4,
            Self::Reject(reason) => 0x100 | reason as u32,
            Self::Drop(reason) => 0x200 | reason as u32,
        }
    }

    /// The verdict with this code; `None` for a number that [`Verdict::code`] does not return.
    #[inline(always)]
    pub const fn from_code(code: u32) -> Option<Self> {
        #[expect(clippy::cast_possible_truncation, reason = "the lowest byte is meant")]
        let reason = code as u8;
        match (code >> 8, reason) {
            (0, 1) => Some(Self::Pass),
            (0, 2) => Some(Self::Translated),
            (0, 3) => Some(Self::Forwarded),
            (0, 4) => Some(Self::EchoReply),
            (1, _) => match RejectReason::from_number(reason) {
                Some(reason) => Some(Self::Reject(reason)),
                None => None,
            },
            (2, _) => match DropReason::from_number(reason) {
                Some(reason) => Some(Self::Drop(reason)),
                None => None,
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_survive_the_round_trip() {
        let verdicts = [Verdict::Pass, Verdict::Translated, Verdict::Forwarded, Verdict::EchoReply].into_iter();
        let rejects = (0..=u8::MAX).filter_map(RejectReason::from_number).map(Verdict::Reject);
        let drops = (0..=u8::MAX).filter_map(DropReason::from_number).map(Verdict::Drop);
        for verdict in verdicts.chain(rejects).chain(drops) {
            assert_eq!(Verdict::from_code(verdict.code()), Some(verdict));
        }
        assert_eq!(Verdict::from_code(0), None);
    }
}
