//! Puts programs on devices and takes them away, says so in the log, and keeps the map DEVICES equal. A device that
//! can't be served is reported and leaves the others alone.

use std::collections::{BTreeMap, BTreeSet};

use aya::maps::{HashMap, MapData};
use proxy_common::Device;
use tracing::{debug, error, info};

use super::{
    doubt::loss,
    outcome::Outcome,
    select::{Role, Target},
};
use crate::{
    attach::{
        AttachError, Group, Supply,
        device::{DeviceHook, Hook, list},
        tc_has_links,
    },
    config::devices::{DeviceArgs, DeviceMode, TcAttach},
    maps::PinFolder,
};

/// What was last done to a device.
struct State {
    target: Target,
    outcome: Outcome,
    /// The hooks that it was given.
    hooks: Vec<DeviceHook>,
}

impl State {
    /// Whether one of its programs is there no more.
    fn has_lost(&self, folder: &PinFolder) -> bool {
        self.hooks.iter().any(|hook| hook.is_dead(folder))
    }
}

/// The devices that are served.
pub(super) struct Devices {
    supply: Supply,
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
        supply: Supply,
        map: HashMap<MapData, u32, Device>,
        folder: PinFolder,
        args: &DeviceArgs,
    ) -> Self {
        let has_tcx = match args.tc_attach {
            TcAttach::Auto => tc_has_links(),
            TcAttach::Tcx => true,
            TcAttach::Clsact => false,
        };
        Self { supply, map, folder, mode: args.device_mode, has_tcx, states: BTreeMap::new(), pinned: Vec::new() }
    }

    /// The programs.
    pub(super) const fn supply(&mut self) -> &mut Supply {
        &mut self.supply
    }

    /// Indexes of the devices whose packets from anybody are served.
    pub(super) fn served(&self) -> BTreeSet<u32> {
        let outside = self.states.iter().filter(|(_, state)| state.target.role == Role::Outside);
        outside.map(|(index, _)| *index).collect()
    }

    /// Whether a device is to be served again without word of a change: it could not be served well, or another program has taken
    /// ours from it, of which nobody tells.
    pub(super) fn is_unsettled(&self) -> bool {
        self.states.values().any(|state| !state.outcome.is_settled() || state.has_lost(&self.folder))
    }

    /// Brings programs onto the wanted devices and away from all others. Fails only when the pins can't be listed.
    pub(super) fn reconcile(&mut self, wanted: BTreeMap<u32, Target>) -> Result<(), AttachError> {
        self.pinned = list(&self.folder)?;
        self.states.retain(|index, _| wanted.contains_key(index));
        self.forget_others(&wanted);
        for (index, target) in wanted {
            let state = self.states.get(&index);
            let has_lost = state.is_some_and(|state| state.has_lost(&self.folder));
            let is_same = state.is_some_and(|state| state.target == target && state.outcome.is_settled());
            if is_same && !has_lost {
                continue;
            }
            if has_lost {
                info!(device = target.link.name, index, "device has lost a program: serving it anew");
            }
            let outcome = self.serve(&target);
            if self.states.get(&index).is_none_or(|state| state.outcome != outcome) {
                outcome.report(&target);
            }
            let hooks = list(&self.folder)?.into_iter().filter(|hook| hook.device == index).collect();
            self.states.insert(index, State { target, outcome, hooks });
        }
        Ok(())
    }

    fn pins_of(&self, device: u32) -> impl Iterator<Item = &DeviceHook> {
        self.pinned.iter().filter(move |hook| hook.device == device)
    }

    /// Takes programs and entries from devices that are gone or no longer wanted.
    fn forget_others(&mut self, wanted: &BTreeMap<u32, Target>) {
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
    fn serve(&mut self, target: &Target) -> Outcome {
        let link = &target.link;
        match self.attach(target) {
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

    /// Replies first: what comes in needs them. TC ingress last: a device whose XDP is refused for good is tried again
    /// and again, and must not be served by turns.
    fn attach(&mut self, target: &Target) -> Result<Outcome, AttachError> {
        let link = &target.link;
        let mut refused = self.load(target)?;
        let mut xdp = target.xdp(self.mode).filter(|_| refused.is_none());
        let (ingress, egress) =
            if self.has_tcx { (Hook::TcxIngress, Hook::TcxEgress) } else { (Hook::ClsactIngress, Hook::ClsactEgress) };
        if xdp != Some(Hook::XdpNative) {
            // Nothing but native XDP has anything to add to this; one that is served again keeps it all the time.
            let expected = self.outcome(target, xdp, refused.clone());
            self.set_flags(link.index, Some(self.flags(target, &expected)));
        }
        self.put(egress, target)?;
        if let Some(wanted) = xdp {
            // The kernel refuses one XDP mode beside the other.
            self.remove(link.index, |hook| hook.is_xdp() && hook != wanted)?;
            if let Err(error) = self.put(wanted, target) {
                (refused, xdp) = (Some(self.fall_back(error)?), None);
            }
        }
        let outcome = self.outcome(target, xdp, refused);
        self.set_flags(link.index, Some(self.flags(target, &outcome)));
        self.put(ingress, target)?;
        // What XDP of an earlier agent no longer serves, TC does already.
        self.remove(link.index, |hook| ![Some(egress), Some(ingress), xdp].contains(&Some(hook)))?;
        Ok(outcome)
    }

    /// Loads the programs that a device needs. Returns why it has to do without XDP, if so.
    fn load(&mut self, target: &Target) -> Result<Option<String>, AttachError> {
        let mut refused = None;
        for group in target.groups(self.mode) {
            match self.supply.load(group) {
                Err(error) if group == Group::Xdp => refused = Some(self.fall_back(error)?),
                loaded => loaded?,
            }
        }
        Ok(refused)
    }

    /// What it means that XDP is refused: the reason to serve by TC, unless XDP was asked for.
    fn fall_back(&self, error: AttachError) -> Result<String, AttachError> {
        if self.mode == DeviceMode::Auto { Ok(error.to_string()) } else { Err(error) }
    }

    /// What has come of it; `xdp` is on the device.
    fn outcome(&self, target: &Target, xdp: Option<Hook>, refused: Option<String>) -> Outcome {
        let doubt = target
            .doubt
            .clone()
            .filter(|_| !target.link.bare && self.mode == DeviceMode::Auto && target.role == Role::Outside);
        match (xdp, refused, doubt) {
            (_, Some(reason), _) => Outcome::FellBack(reason),
            (Some(Hook::XdpNative), ..) => loss(&target.link).map_or(Outcome::Served("xdp"), Outcome::Lossy),
            (Some(_), ..) => Outcome::Served("xdp-generic"),
            (None, None, Some(doubt)) => Outcome::Doubted(doubt),
            (None, None, None) => Outcome::Served("tc"),
        }
    }

    /// What the programs and people may know of a device.
    fn flags(&self, target: &Target, outcome: &Outcome) -> u32 {
        let role = target.role.flags();
        if target.link.bare {
            return role | Device::BARE;
        }
        let asked = if role == 0 && self.mode != DeviceMode::Auto { Device::ASKED } else { 0 };
        let reason = match outcome {
            Outcome::Served("xdp") => Device::REDIRECT,
            Outcome::Lossy(_) => Device::REDIRECT | Device::LOSSY,
            Outcome::Doubted(_) => Device::UNSURE,
            Outcome::FellBack(_) => Device::FELL_BACK,
            Outcome::Served(_) | Outcome::Failed(_) => 0,
        };
        role | asked | reason
    }

    /// Takes programs of an earlier agent from a device.
    fn remove(&self, device: u32, is_meant: impl Fn(Hook) -> bool) -> Result<(), AttachError> {
        self.pins_of(device).filter(|pinned| is_meant(pinned.hook)).try_for_each(|pinned| pinned.remove(&self.folder))
    }

    fn put(&self, hook: Hook, target: &Target) -> Result<(), AttachError> {
        let link = &target.link;
        let pinned = self.pins_of(link.index).find(|pinned| pinned.hook == hook);
        let place = DeviceHook { hook, device: link.index, name: link.name.clone() };
        let put = place.put(self.supply.programs(), &self.folder, pinned, target.variant())?;
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
