//! Runs a private copy of the loaded programs on the first packet of a connection, which is made for that and never sent.
//! docs/adr/0019 says why it is a copy, and how it is known to be equal to the attached programs.

mod attached;
mod compare;
mod copy;
mod not_run;
mod packet;
mod part;
mod state;

use std::{collections::BTreeMap, net::SocketAddr};

use nix::ifaddrs::getifaddrs;
use proxy_common::{AffinityKey, Counter, Outcome};

pub use self::part::lines;
use self::{
    attached::Layer,
    copy::{Action, PrivateCopy},
    not_run::NotRun,
    packet::{Made, Seen},
    part::part,
    state::Relevant,
};
use super::{
    client::ClientDevice,
    explanation::{Explanation, ProgramsPart},
    facts::Facts,
};
use crate::{
    commands::{cli::ClientKind, get::devices},
    logging::errors::Report,
    maps::PinFolder,
    node::capabilities,
};

/// What the programs did with a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The packet.
    made: Made,
    /// The layers that saw it. The last one decided, unless an earlier one translated it for the stack.
    layers: Vec<Layer>,
    /// The layer that decided.
    by: Layer,
    /// What it decided.
    decided: Decided,
    /// Whether source translation could not keep the client's port.
    is_port_changed: bool,
}

/// The decision of the programs about a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Decided {
    /// It is left to the stack untouched.
    Passed,
    /// It is translated and left to the stack.
    Left(Seen),
    /// It is translated and sent out of a device, whose name is known if the programs have written its Ethernet address.
    Sent(Seen, Option<String>),
    /// It is refused, and turned into this answer.
    Refused(Counter, Seen),
    /// It is dropped, and counted by this reason.
    Dropped(Option<Counter>),
    /// The programs failed in some way.
    Failed(String),
}

/// Runs the programs on the first packet of the connection, and compares with what the explanation says. Returns `None` if no
/// program sees packets of the client: sockets are translated when they connect.
pub fn rehearse(instance: &str, facts: &Facts, said: &Explanation) -> Option<ProgramsPart> {
    if !facts.client.sends_packets(facts.protocol) || facts.is_unserved() {
        return None;
    }
    Some(match run(instance, facts) {
        Ok(trial) => part(&trial, compare::disagreements(said, &trial)),
        Err(reason) => ProgramsPart { not_run: Some(Report(&reason).to_string()), ..ProgramsPart::default() },
    })
}

fn run(instance: &str, facts: &Facts) -> Result<Trial, NotRun> {
    if let Some(missing) = capabilities::missing_for_copies() {
        return Err(NotRun::Capabilities(missing));
    }
    if facts.client.kind == ClientKind::Node {
        return Err(NotRun::Own);
    }
    let device = facts.client.device.as_ref().ok_or(NotRun::NoDevice)?;
    let rows = devices(instance)?;
    let row = rows.iter().find(|row| row.index == device.index);
    let row = row.ok_or_else(|| NotRun::Detached(device.name.clone()))?;
    let folder = PinFolder::new(instance);
    let mut copy = PrivateCopy::new(&folder, attached::read(&folder, row)?, &relevant(facts))?;
    let made = Made {
        source: SocketAddr::new(facts.client.address, facts.probe_port),
        destination: SocketAddr::new(facts.dialled.address.into(), facts.dialled.port),
        protocol: facts.protocol,
    };
    send(&mut copy, made, device)
}

fn relevant(facts: &Facts) -> Relevant {
    let service = facts.service().map(|(_, service)| service).filter(|service| service.affinity_timeout != 0);
    Relevant {
        is_ipv4: facts.client.address.is_ipv4(),
        port: facts.dialled.port,
        client: service.map(|service| AffinityKey::from_address(facts.client.address.into(), service.id)),
    }
}

/// Shows the packet to the layers of a device, as the kernel does.
fn send(copy: &mut PrivateCopy, made: Made, device: &ClientDevice) -> Result<Trial, NotRun> {
    let ethernet = Ethernet::read().map_err(|source| NotRun::Ethernet { device: device.name.clone(), source })?;
    let frame = made.frame(ethernet.of(&device.name), fastrand::u32(..))?;
    let (mut current, mut layers, mut translated_by, mut last) = (frame.clone(), Vec::new(), None, None);
    for layer in copy.layers() {
        copy.load(layer)?;
        let ran = copy.run(layer, device.index, &current)?;
        layers.push(layer);
        last = Some((layer, ran.action));
        if ran.action != Action::Pass {
            current = ran.frame;
            break;
        }
        if ran.frame != current {
            translated_by = Some(layer);
        }
        current = ran.frame;
    }
    let (last, action) = last.ok_or_else(|| NotRun::Detached(device.name.clone()))?;
    let counted = copy.counted()?;
    let by = if action == Action::Pass { translated_by.unwrap_or(last) } else { last };
    let afterwards = if current == frame { None } else { Some(current.as_slice()) };
    let decided = decide(action, afterwards, &counted, |seen| ethernet.device(seen.ethernet));
    let is_port_changed = counted.contains_key(&Counter::SnatPortChanged);
    Ok(Trial { made, layers, by, decided, is_port_changed })
}

/// Decides what has happened to a packet. `changed` is the packet afterwards, if it is another than before. Pure.
fn decide(
    action: Action,
    changed: Option<&[u8]>,
    counted: &BTreeMap<Counter, u64>,
    device: impl FnOnce(&Seen) -> Option<String>,
) -> Decided {
    let refusal = counted.keys().copied().find(|counter| counter.label().0 != Outcome::Done);
    let seen = changed.map(packet::read);
    match (action, seen, refusal) {
        (Action::Fault(result), ..) => Decided::Failed(format!("a program returned {result}")),
        (Action::Drop, _, refusal) => Decided::Dropped(refusal),
        (Action::Send, Some(Some(seen)), Some(refusal)) => Decided::Refused(refusal, seen),
        (Action::Send, Some(Some(seen)), None) => {
            let device = device(&seen);
            Decided::Sent(seen, device)
        }
        (Action::Pass, Some(Some(seen)), None) => Decided::Left(seen),
        (Action::Pass, None, None) => Decided::Passed,
        (_, Some(None), _) => Decided::Failed("the packet is damaged afterwards".to_owned()),
        (Action::Send, None, _) => Decided::Failed("the packet is sent without a change".to_owned()),
        (Action::Pass, _, Some(refusal)) => {
            Decided::Failed(format!("the packet passes, although {} is counted", refusal.label().1))
        }
    }
}

/// The Ethernet addresses of this network namespace's devices.
struct Ethernet(Vec<(String, [u8; 6])>);

impl Ethernet {
    fn read() -> nix::Result<Self> {
        let address = |device: nix::ifaddrs::InterfaceAddress| {
            let address = device.address?.as_link_addr()?.addr()?;
            Some((device.interface_name, address))
        };
        Ok(Self(getifaddrs()?.filter_map(address).collect()))
    }

    /// Returns the address of a device, zeros if it has none.
    fn of(&self, device: &str) -> [u8; 6] {
        self.0.iter().find(|(name, _)| name == device).map_or([0; 6], |(_, address)| *address)
    }

    /// Returns the device with an address; `None` if there is none, or several, such as a bridge and its port.
    fn device(&self, address: [u8; 6]) -> Option<String> {
        let mut found = self.0.iter().filter(|(_, other)| *other == address);
        found.next().filter(|_| found.next().is_none()).map(|(name, _)| name.clone())
    }
}

#[cfg(test)]
mod tests;
