//! The rules that hold for every packet that a program lets go.

use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
};

use harness::{
    packet::check::{Seen, check},
    scene::Family,
    test_run::{Action, Hook, Service, places::NODE},
};

use crate::generate::TestFrame;

/// Knows the addresses that packets may be sent to.
#[derive(Default)]
pub struct Judge {
    /// Backends of any Services so far.
    backends: HashSet<SocketAddr>,
    /// Senders of any packets so far.
    senders: HashSet<IpAddr>,
}

impl Judge {
    /// Allows packets to these Services' backends from now on.
    pub fn allow(&mut self, services: &[Service]) {
        for family in Family::BOTH {
            self.backends.extend(services.iter().flat_map(|service| service.backends(family)));
        }
    }

    /// Allows packets to the sender of `frame` from now on.
    pub fn note_sent(&mut self, frame: &[u8]) {
        if let Some((source, _)) = addresses(frame) {
            self.senders.insert(source);
        }
    }

    /// Whether `out` is an acceptable result of `sent`.
    pub fn judge(&self, sent: &TestFrame, action: Action, out: &[u8]) -> Result<(), String> {
        match action {
            Action::Drop => return Ok(()),
            Action::Fault(code) => return Err(format!("the program returned {code}")),
            Action::Pass if out == sent.frame => return Ok(()),
            Action::Pass | Action::Transmit | Action::Redirect => {}
        }
        if action != Action::Pass && sent.hook == Hook::TcEgress {
            return Err("sent elsewhere while it was leaving".into());
        }
        let Some((_, destination)) = addresses(out) else { return Err("no IP packet any more".into()) };
        let is_backend = self.backends.iter().any(|backend| backend.ip() == destination);
        if !is_backend && !self.senders.contains(&destination) {
            return Err(format!("sent to {destination}, which is neither a backend nor a client"));
        }
        // Checksums and lengths of a damaged packet need not be right afterwards.
        let Ok(before) = check(&sent.frame) else { return Ok(()) };
        let after = check(out)?;
        if is_answer(&before, &after, out.len() != sent.frame.len()) {
            return Ok(());
        }
        self.judge_translation(&before, &after)?;
        untouched(&sent.frame, out, &before)
    }

    fn judge_translation(&self, before: &Seen, after: &Seen) -> Result<(), String> {
        if before.protocol != after.protocol || before.fragment != after.fragment {
            return Err(format!("{before:?} became {after:?}"));
        }
        let Some((_, port)) = after.ports else { return Ok(()) };
        let backend = SocketAddr::new(after.destination, port);
        let family = if after.source.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
        let is_request = before.destination != after.destination || before.ports.map(|ports| ports.1) != Some(port);
        if is_request && !self.backends.contains(&backend) && !self.senders.contains(&after.destination) {
            return Err(format!("sent to {backend}, which is neither a backend nor a client"));
        }
        let source_kept = before.source == after.source;
        let is_ours = after.source == NODE.address(family) || before.destination == after.source;
        if !source_kept && !is_ours && !self.is_reply(before) {
            return Err(format!("sent in the name of {}", after.source));
        }
        Ok(())
    }

    /// Whether the packet comes from a backend, so that its source becomes a frontend.
    fn is_reply(&self, before: &Seen) -> bool {
        before.ports.is_some_and(|ports| self.backends.contains(&SocketAddr::new(before.source, ports.0)))
    }
}

/// A reset, an ICMP error or an echo reply in place of the packet.
fn is_answer(before: &Seen, after: &Seen, resized: bool) -> bool {
    let swapped = before.source == after.destination && before.destination == after.source;
    swapped && (resized || after.protocol != before.protocol || after.ports.is_none() || is_swapped(before, after))
}

fn is_swapped(before: &Seen, after: &Seen) -> bool {
    before.ports.zip(after.ports).is_some_and(|(before, after)| before == (after.1, after.0))
}

/// Compares the frames except where a translation changes them.
fn untouched(before: &[u8], after: &[u8], seen: &Seen) -> Result<(), String> {
    if before.len() != after.len() {
        return Err("its length has changed".into());
    }
    let Some((network, version)) = network(before) else { return Ok(()) };
    let transport = transport(before, network, version);
    let mut changes = if version == 4 {
        vec![0..12, network + 8..network + 9, network + 10..network + 20]
    } else {
        vec![0..12, network + 7..network + 40]
    };
    match seen.protocol {
        // Errors also quote what is translated.
        1 | 58 => changes.push(transport..before.len()),
        6 => changes.extend([transport..transport + 4, transport + 16..transport + 18]),
        17 => changes.extend([transport..transport + 4, transport + 6..transport + 8]),
        _ => changes.extend([transport..transport + 4, transport + 8..transport + 12]),
    }
    let touched =
        (0..before.len()).find(|at| before[*at] != after[*at] && !changes.iter().any(|range| range.contains(at)));
    touched.map_or(Ok(()), |at| Err(format!("byte {at} has changed, which no translation touches")))
}

/// The offset of the network header, and its version.
fn network(frame: &[u8]) -> Option<(usize, u8)> {
    let mut at = 12;
    for _ in 0..3 {
        match (frame.get(at)?, frame.get(at + 1)?) {
            (0x81, 0) | (0x88, 0xa8) => at += 4,
            (8, 0) => return (frame.get(at + 2)? >> 4 == 4).then_some((at + 2, 4)),
            (0x86, 0xdd) => return (frame.get(at + 2)? >> 4 == 6).then_some((at + 2, 6)),
            _ => return None,
        }
    }
    None
}

/// The offset of the transport header of a whole packet.
fn transport(frame: &[u8], network: usize, version: u8) -> usize {
    if version == 4 {
        return network + usize::from(frame[network] & 0xf) * 4;
    }
    let (mut next, mut at) = (frame[network + 6], network + 40);
    while matches!(next, 0 | 43 | 44 | 60) && at + 1 < frame.len() {
        let length = if next == 44 { 8 } else { 8 + usize::from(frame[at + 1]) * 8 };
        next = frame[at];
        at += length;
    }
    at
}

/// Source and destination of an IP packet.
fn addresses(frame: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let (at, version) = network(frame)?;
    if version == 4 {
        let address = |at: usize| Some(IpAddr::from(<[u8; 4]>::try_from(frame.get(at..at + 4)?).ok()?));
        return Some((address(at + 12)?, address(at + 16)?));
    }
    let address = |at: usize| Some(IpAddr::from(<[u8; 16]>::try_from(frame.get(at..at + 16)?).ok()?));
    Some((address(at + 8)?, address(at + 24)?))
}
