//! Puts programs on devices and takes them away, says so in the log, and keeps the map DEVICES equal. A device that
//! can't be served is reported and leaves the others alone.

use std::collections::{BTreeMap, BTreeSet};

use aya::maps::{HashMap, MapData};
use proxy_common::Device;
use tracing::{debug, error, info, warn};

use super::{
    config::{DeviceArgs, DeviceMode, TcAttach},
    select::Role,
};
use crate::{
    attach::{
        AttachError, Programs,
        device::{DeviceHook, Hook, list},
        tc_has_links,
    },
    kernel::Link,
    maps::PinFolder,
};

/// How a device is served.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// As wanted.
    Served(&'static str),
    /// By TC, as native XDP was refused for this reason.
    FellBack(String),
    /// Not at all, for this reason.
    Failed(String),
}

/// What was last done to a device.
struct State {
    link: Link,
    role: Role,
    outcome: Outcome,
}

/// The devices that are served.
pub(super) struct Devices {
    programs: Option<Programs>,
    map: HashMap<MapData, u32, Device>,
    folder: PinFolder,
    mode: DeviceMode,
    has_tcx: bool,
    states: BTreeMap<u32, State>,
    /// The pinned hooks, as last listed.
    pinned: Vec<DeviceHook>,
}

impl Devices {
    pub(super) fn new(
        programs: Option<Programs>,
        map: HashMap<MapData, u32, Device>,
        folder: PinFolder,
        args: &DeviceArgs,
    ) -> Self {
        let has_tcx = match args.tc_attach {
            TcAttach::Auto => tc_has_links(),
            TcAttach::Tcx => true,
            TcAttach::Clsact => false,
        };
        Self { programs, map, folder, mode: args.device_mode, has_tcx, states: BTreeMap::new(), pinned: Vec::new() }
    }

    /// Indexes of the devices that are served.
    pub(super) fn served(&self) -> BTreeSet<u32> {
        self.states.keys().copied().collect()
    }

    /// Whether a device is not served that should be.
    pub(super) fn has_failures(&self) -> bool {
        self.states.values().any(|state| matches!(state.outcome, Outcome::Failed(_)))
    }

    /// Brings programs onto the wanted devices and away from all others. Fails only when the pins can't be listed.
    pub(super) fn reconcile(&mut self, wanted: BTreeMap<u32, (Link, Role)>) -> Result<(), AttachError> {
        self.pinned = list(&self.folder)?;
        self.states.retain(|index, _| wanted.contains_key(index));
        self.forget_others(&wanted);
        for (index, (link, role)) in wanted {
            let state = self.states.get(&index);
            let is_same = state.is_some_and(|state| {
                state.link == link && state.role == role && !matches!(state.outcome, Outcome::Failed(_))
            });
            if is_same && !self.pins_of(index).any(|hook| hook.is_dead(&self.folder)) {
                continue;
            }
            let outcome = self.serve(&link, role);
            if self.states.get(&index).is_none_or(|state| state.outcome != outcome) {
                report(&link, role, &outcome);
            }
            self.states.insert(index, State { link, role, outcome });
        }
        Ok(())
    }

    fn pins_of(&self, device: u32) -> impl Iterator<Item = &DeviceHook> {
        self.pinned.iter().filter(move |hook| hook.device == device)
    }

    /// Takes programs and entries from devices that are gone or no longer wanted.
    fn forget_others(&mut self, wanted: &BTreeMap<u32, (Link, Role)>) {
        let known: Vec<u32> = self.map.keys().flatten().filter(|index| !wanted.contains_key(index)).collect();
        for index in known {
            self.set_flags(index, None);
        }
        for hook in self.pinned.iter().filter(|hook| !wanted.contains_key(&hook.device)) {
            match hook.remove(&self.folder) {
                Ok(()) => info!(device = hook.name, index = hook.device, hook = hook.hook.word(), "program detached"),
                Err(error) => error!(device = hook.name, %error, "a device that is not wanted keeps its program"),
            }
        }
    }

    /// Puts the programs on one device.
    fn serve(&mut self, link: &Link, role: Role) -> Outcome {
        match self.attach(link, role) {
            Ok(outcome) => outcome,
            Err(error) => {
                self.set_flags(link.index, None);
                for hook in list(&self.folder).into_iter().flatten().filter(|hook| hook.device == link.index) {
                    if let Err(error) = hook.remove(&self.folder) {
                        error!(device = link.name, %error, "a device that can't be served keeps a program");
                    }
                }
                Outcome::Failed(error.to_string())
            }
        }
    }

    /// Answers first: what comes in needs them. TC ingress last: a device whose XDP is refused for good is tried again
    /// and again, and must not be served by turns.
    fn attach(&mut self, link: &Link, role: Role) -> Result<Outcome, AttachError> {
        let (ingress, egress) =
            if self.has_tcx { (Hook::TcxIngress, Hook::TcxEgress) } else { (Hook::ClsactIngress, Hook::ClsactEgress) };
        let xdp = match (role, self.mode) {
            (Role::Outside, DeviceMode::Auto | DeviceMode::Xdp) => Some(Hook::XdpNative),
            (Role::Outside, DeviceMode::XdpGeneric) => Some(Hook::XdpGeneric),
            _ => None,
        };
        let pod = if role == Role::Pod { Device::POD } else { 0 };
        if xdp != Some(Hook::XdpNative) {
            self.set_flags(link.index, Some(pod));
        }
        self.put(egress, link)?;
        if let Some(wanted) = xdp {
            // The kernel refuses one XDP mode beside the other.
            self.remove(link.index, |hook| hook.is_xdp() && hook != wanted)?;
        }
        let refused = xdp.and_then(|hook| self.put(hook, link).err());
        let (flags, xdp, outcome) = match (xdp, refused) {
            (_, Some(error)) if self.mode == DeviceMode::Auto => {
                (Device::FELL_BACK, None, Outcome::FellBack(error.to_string()))
            }
            (_, Some(error)) => return Err(error),
            (Some(Hook::XdpNative), None) => (Device::REDIRECT, xdp, Outcome::Served("xdp")),
            (Some(_), None) => (0, xdp, Outcome::Served("xdp-generic")),
            (None, None) => (pod, None, Outcome::Served("tc")),
        };
        self.set_flags(link.index, Some(flags));
        self.put(ingress, link)?;
        self.remove(link.index, |hook| ![Some(egress), Some(ingress), xdp].contains(&Some(hook)))?;
        Ok(outcome)
    }

    /// Takes programs of an earlier agent from a device.
    fn remove(&self, device: u32, is_meant: impl Fn(Hook) -> bool) -> Result<(), AttachError> {
        self.pins_of(device).filter(|pinned| is_meant(pinned.hook)).try_for_each(|pinned| pinned.remove(&self.folder))
    }

    fn put(&self, hook: Hook, link: &Link) -> Result<(), AttachError> {
        let Some(programs) = &self.programs else { return Ok(()) };
        let pinned = self.pins_of(link.index).find(|pinned| pinned.hook == hook);
        let place = DeviceHook { hook, device: link.index, name: link.name.clone() };
        let put = place.put(programs, &self.folder, pinned)?;
        debug!(device = link.name, hook = hook.word(), ?put, "device hook");
        Ok(())
    }

    /// Writes what the programs may know of a device, or that they know nothing of it.
    fn set_flags(&mut self, index: u32, flags: Option<u32>) {
        let written = match flags {
            Some(flags) => self.map.insert(index, Device { flags }, 0),
            None => self.map.remove(&index),
        };
        if let Err(error) = written.or_else(|error| if flags.is_none() { Ok(()) } else { Err(error) }) {
            error!(index, %error, "degraded: a device is not in map DEVICES");
        }
    }
}

/// One line for each device, when there is news.
fn report(link: &Link, role: Role, outcome: &Outcome) {
    let (device, index) = (&link.name, link.index);
    match outcome {
        Outcome::Served(mode) => info!(device, index, mode, pod = role == Role::Pod, "device served"),
        Outcome::FellBack(reason) => warn!(
            device,
            index,
            mode = "tc",
            reason,
            "device served by TC, as native XDP is refused: everything works, at more processor time a packet"
        ),
        Outcome::Failed(reason) => error!(device, index, reason, "device not served: trying again"),
    }
}
