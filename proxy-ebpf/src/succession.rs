//! Succession (docs/adr/0010): while this set of programs and maps replaces another, it hands packets of flows that it does not
//! know to that set's first program. Packets without an Ethernet header are not handed over, since that program expects one.

use proxy_common::{Phase, Stage};

use crate::{maps::SUCCESSION, packet::Packet};

#[inline(always)]
fn phase() -> u32 {
    SUCCESSION.get(0).copied().unwrap_or(Phase::Alone as u32)
}

/// The source port nearest to `port` that this set may give to a flow now.
#[inline(always)]
pub fn own_port(port: u16) -> u16 {
    Phase::own_port(phase(), port)
}

/// Hands a packet that may open a flow to the other set, as long as some hooks run that set's programs. Returns otherwise.
#[inline(always)]
pub fn open_in_other_set<P: Packet>(packet: &P, stage: Stage) {
    if phase() == Phase::Following as u32 && !packet.is_bare() {
        packet.continue_at(stage);
    }
}

/// Hands a packet whose flow is not known here to the other set. `stage` is [`Stage::Previous`] or [`Stage::PreviousEgress`].
/// Returns if there is no other set. The packet must be unchanged.
#[inline(always)]
pub fn try_other_set<P: Packet>(packet: &P, stage: Stage) {
    if phase() != Phase::Alone as u32 && !packet.is_bare() {
        packet.continue_at(stage);
    }
}
