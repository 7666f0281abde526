//! Compares the wanted outcome of a packet with what a program made of it, byte for byte.

use std::fmt::Write as _;

use super::{
    Action, Device, Hook,
    places::{ROUTER_MAC, is_silent, next_hop},
};
use crate::{
    packet::{Packet, check::check},
    scene::Family,
};

/// The wanted outcome.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Pass,
    Drop,
    Stack(Packet),
    StackFromAnyPort(Packet),
    Forward(Packet),
    ForwardFromAnyPort(Packet),
    Back(Packet),
    RedirectToIngress(Packet),
}

/// What a program made of a packet.
pub(super) struct Found {
    pub(super) hook: Hook,
    pub(super) device: Device,
    pub(super) family: Family,
    pub(super) action: Action,
    pub(super) out: Vec<u8>,
}

impl Found {
    /// Says how it differs from the wanted outcome of `packet`.
    pub(super) fn compare(&self, packet: &Packet, outcome: &Outcome) -> Result<(), String> {
        match outcome {
            Outcome::Pass => self.same(Action::Pass, &packet.bytes(self.family)),
            Outcome::Drop => self.acted(Action::Drop),
            Outcome::Stack(wanted) => self.same(Action::Pass, &wanted.bytes(self.family)),
            Outcome::Forward(wanted) => self.forwarded(wanted.clone()),
            Outcome::ForwardFromAnyPort(wanted) => self.forwarded(self.with_its_port(packet, wanted)?),
            Outcome::StackFromAnyPort(wanted) => {
                self.same(Action::Pass, &self.with_its_port(packet, wanted)?.bytes(self.family))
            }
            Outcome::Back(wanted) => {
                let ethernet = &packet.ethernet;
                let wanted = wanted.clone().ethernet(ethernet.destination, ethernet.source);
                let action = if self.hook == Hook::Xdp { Action::Transmit } else { Action::Redirect };
                self.same(action, &wanted.bytes(self.family))
            }
            Outcome::RedirectToIngress(wanted) => {
                let wanted = wanted.clone().ethernet(ROUTER_MAC, Device::Uplink.mac());
                self.same(Action::Redirect, &wanted.bytes(self.family))
            }
        }
    }

    /// `wanted` with the source port that the program has chosen, which must differ from the client's.
    fn with_its_port(&self, packet: &Packet, wanted: &Packet) -> Result<Packet, String> {
        let ports = check(&self.out).ok().and_then(|seen| seen.ports);
        let mut wanted = wanted.clone();
        wanted.source.port = ports.map_or(0, |(source, _)| source);
        if wanted.source.port == packet.source.port {
            return Err(format!("the source port is still {}", wanted.source.port));
        }
        Ok(wanted)
    }

    /// Compares with `wanted` as it leaves. For a neighbour that is not resolved yet, the kernel writes the link
    /// addresses after the program.
    fn forwarded(&self, mut wanted: Packet) -> Result<(), String> {
        let destination = wanted.destination.place.address(self.family);
        if is_silent(destination) {
            return self.same(Action::Redirect, &wanted.bytes(self.family));
        }
        let (device, neighbour) = next_hop(destination);
        wanted = wanted.ethernet(device.mac(), neighbour);
        let stays = device == self.device && self.hook == Hook::Xdp;
        let action = if stays { Action::Transmit } else { Action::Redirect };
        self.same(action, &wanted.bytes(self.family))
    }

    fn same(&self, action: Action, wanted: &[u8]) -> Result<(), String> {
        self.acted(action)?;
        if self.out == wanted {
            return Ok(());
        }
        let at = self.out.iter().zip(wanted).position(|(a, b)| a != b).unwrap_or(wanted.len().min(self.out.len()));
        Err(format!("packet out differs at byte {at}\n    out    {}\n    wanted {}", hex(&self.out), hex(wanted)))
    }

    fn acted(&self, action: Action) -> Result<(), String> {
        let out = || check(&self.out).map_or_else(|error| error, |seen| format!("{seen:?}"));
        if self.action == action { Ok(()) } else { Err(format!("{:?}, not {action:?}: {}", self.action, out())) }
    }
}

/// Bytes in groups: link addresses, EtherType, then words.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (index, byte) in bytes.iter().enumerate() {
        let gap = match index {
            0 => false,
            6 | 12 | 14 => true,
            _ => index > 14 && (index - 14) % 4 == 0,
        };
        let _ = write!(text, "{}{byte:02x}", if gap { " " } else { "" });
    }
    text
}
