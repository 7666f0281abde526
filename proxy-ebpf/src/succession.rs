//! While this set of programs and maps takes the place of another (docs/adr/0010), packets of flows that it does not know
//! are the other one's: that set's first program has them. Packets without an Ethernet header are not handed over, as that
//! program expects one.

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

/// Gives away a packet that may open a flow, as long as some hooks ask the other set alone. Returns otherwise.
#[inline(always)]
pub fn open_there<P: Packet>(packet: &P, stage: Stage) {
    if phase() == Phase::Following as u32 && !packet.is_bare() {
        packet.continue_at(stage);
    }
}

/// Gives away a packet whose flow is not known here; `stage` is [`Stage::Previous`] or [`Stage::PreviousEgress`]. Returns
/// when there is no other set. Nothing of the packet may have been changed.
#[inline(always)]
pub fn ask_there<P: Packet>(packet: &P, stage: Stage) {
    if phase() != Phase::Alone as u32 && !packet.is_bare() {
        packet.continue_at(stage);
    }
}
