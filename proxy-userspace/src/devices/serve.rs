//! Attaches programs to devices and detaches them, logs it, and keeps the map DEVICES up to date. A device that can't be served is
//! logged and does not affect the others; one for which DEVICES has no room is such a device.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use aya::maps::{HashMap, MapData};
use proxy_common::{Device, sizes::DEVICES_MAX};
use tracing::{debug, error, info};

use super::{
    hooks::{DeviceHooks, PinnedHooks},
    outcome::DeviceOutcome,
    room::{Division, divide},
    select::{Role, Target},
    unreliable_xdp::loss,
};
use crate::{
    attach::{
        AttachError, AttachPoint, Group, Missing, ProgramSet,
        device::{DeviceHook, Hook},
        tc_has_links,
    },
    config::devices::{DeviceConfig, DeviceMode, TcAttach},
    logging::errors::Report,
    maps::{PinFolder, store::Entries},
};

/// The last outcome of serving a device.
struct ServedDevice {
    target: Target,
    outcome: DeviceOutcome,
    /// The hooks of the device that have programs.
    hooks: Vec<DeviceHook>,
    /// Whether these are programs of the previous set.
    is_outdated: bool,
}

impl ServedDevice {
    /// Whether one of the device's programs is no longer attached.
    fn has_lost(&self, hooks: &impl DeviceHooks) -> bool {
        self.hooks.iter().any(|hook| hooks.is_dead(hook))
    }
}

/// The devices that are served.
pub(super) struct Devices<H = PinnedHooks, M = HashMap<MapData, u32, Device>> {
    hooks: H,
    map: M,
    /// How many entries the map has room for.
    room: usize,
    mode: DeviceMode,
    has_tcx: bool,
    states: BTreeMap<u32, ServedDevice>,
    /// The hooks with programs when they were last listed.
    pinned: Vec<DeviceHook>,
    /// Where devices that can't be served are noted.
    missing: Missing,
}

impl Devices {
    pub(super) fn new(
        program_set: ProgramSet,
        map: HashMap<MapData, u32, Device>,
        folder: PinFolder,
        config: &DeviceConfig,
        missing: Missing,
    ) -> Self {
        let has_tcx = match config.tc_attach {
            TcAttach::Auto => tc_has_links(),
            TcAttach::Tcx => true,
            TcAttach::Clsact => false,
        };
        let (hooks, mode, states, pinned) =
            (PinnedHooks { program_set, folder }, config.mode, BTreeMap::new(), Vec::new());
        Self { hooks, map, room: DEVICES_MAX, mode, has_tcx, states, pinned, missing }
    }

    /// Returns the set of programs.
    pub(super) const fn program_set(&mut self) -> &mut ProgramSet {
        &mut self.hooks.program_set
    }

    /// Replaces the set of programs. The next [`reconcile`](Self::reconcile) attaches the new programs. Returns the previous set.
    pub(super) fn renew(&mut self, program_set: ProgramSet) -> ProgramSet {
        self.states.values_mut().for_each(|state| state.is_outdated = true);
        std::mem::replace(&mut self.hooks.program_set, program_set)
    }
}

impl<H: DeviceHooks, M: Entries<u32, Device>> Devices<H, M> {
    /// Returns the indices of the devices that are served for all clients.
    pub(super) fn served(&self) -> BTreeSet<u32> {
        let outside = self.states.iter().filter(|(_, state)| state.target.role == Role::Outside);
        outside.map(|(index, _)| *index).collect()
    }

    /// Whether a device must be served again although no change was reported: it could not be served, or not well, or its program
    /// was detached, which the kernel does not report.
    pub(super) fn is_unsettled(&self) -> bool {
        self.states.values().any(|state| !state.outcome.is_settled() || state.has_lost(&self.hooks))
    }

    /// Attaches programs to the selected devices and detaches them from all others. Fails only if the pins can't be
    /// listed.
    pub(super) fn reconcile(&mut self, wanted: BTreeMap<u32, Target>) -> Result<(), AttachError> {
        self.pinned = self.hooks.list()?;
        self.states.retain(|index, _| wanted.contains_key(index));
        let Division { with_room, without } = divide(wanted, &self.map.keys().collect(), self.room);
        self.forget_others(&with_room);
        for (index, target) in without {
            let outcome = DeviceOutcome::Failed(AttachError::NoRoom.to_string());
            self.note(index, ServedDevice { target, outcome, hooks: Vec::new(), is_outdated: false });
        }
        for (index, target) in with_room {
            let state = self.states.get(&index);
            let has_lost = state.is_some_and(|state| state.has_lost(&self.hooks));
            let is_same =
                state.is_some_and(|state| state.target == target && state.outcome.is_settled() && !state.is_outdated);
            if is_same && !has_lost {
                continue;
            }
            if has_lost {
                info!(device = target.link.name, index, "device has lost a program: serving it again");
            }
            let outcome = self.serve(&target);
            let hooks = self.hooks.list()?.into_iter().filter(|hook| hook.device == index).collect();
            self.note(index, ServedDevice { target, outcome, hooks, is_outdated: false });
        }
        let now = Instant::now();
        self.missing.replace(AttachPoint::Device, self.unserved(|role| role == Role::Outside), now);
        self.missing.replace(AttachPoint::Pod, self.unserved(|role| role != Role::Outside), now);
        Ok(())
    }

    /// Keeps the outcome, and logs it if it is another than before.
    fn note(&mut self, index: u32, state: ServedDevice) {
        if self.states.get(&index).is_none_or(|before| before.outcome != state.outcome) {
            state.outcome.report(&state.target);
        }
        self.states.insert(index, state);
    }

    /// Returns the devices of these roles that should be served but can't be, with the reasons.
    fn unserved(&self, is_meant: impl Fn(Role) -> bool) -> BTreeMap<String, String> {
        let meant = self.states.values().filter(|state| is_meant(state.target.role));
        let unserved = meant.filter_map(|state| match &state.outcome {
            DeviceOutcome::Failed(reason) => Some((state.target.link.name.clone(), reason.clone())),
            _ => None,
        });
        unserved.collect()
    }

    /// Detaches programs from devices that were removed, are no longer selected, or have no room, and removes their entries in
    /// DEVICES.
    fn forget_others(&mut self, wanted: &BTreeMap<u32, Target>) {
        let known: Vec<u32> = self.map.keys().filter(|index| !wanted.contains_key(index)).collect();
        for index in known {
            self.map.remove(&index);
        }
        for hook in self.pinned.iter().filter(|hook| !wanted.contains_key(&hook.device)) {
            match self.hooks.remove(hook) {
                Ok(()) => info!(device = hook.name, index = hook.device, hook = hook.hook.word(), "program detached"),
                Err(error) => {
                    self.note_attached(hook, &error, "failed to detach from a device that is no longer served");
                }
            }
        }
    }

    /// Logs that a program is still attached, unless its device is gone by now.
    fn note_attached(&self, hook: &DeviceHook, error: &AttachError, message: &'static str) {
        if self.hooks.is_gone(hook.device) {
            debug!(device = hook.name, index = hook.device, error = %Report(error), "device was removed before its program");
        } else {
            error!(device = hook.name, error = %Report(error), "{message}");
        }
    }

    /// Attaches the programs to one device. If that fails, detaches all of its programs.
    fn serve(&mut self, target: &Target) -> DeviceOutcome {
        let link = &target.link;
        match self.attach(target) {
            Ok(outcome) => outcome,
            Err(error) => {
                self.map.remove(&link.index);
                for hook in self.hooks.list().into_iter().flatten().filter(|hook| hook.device == link.index) {
                    if let Err(error) = self.hooks.remove(&hook) {
                        self.note_attached(&hook, &error, "failed to detach from a device that can't be served");
                    }
                }
                let is_gone = self.hooks.is_gone(link.index);
                if is_gone { DeviceOutcome::Gone } else { DeviceOutcome::Failed(Report(&error).to_string()) }
            }
        }
    }

    /// Attaches the programs to one device. Egress comes first, because replies must be translated before requests come in. TC
    /// ingress comes last: a device whose XDP is always refused is tried again and again, and must not alternate between served
    /// and unserved.
    fn attach(&mut self, target: &Target) -> Result<DeviceOutcome, AttachError> {
        let link = &target.link;
        let mut refused = self.load(target)?;
        let mut xdp = target.xdp(self.mode).filter(|_| refused.is_none());
        let (ingress, egress) =
            if self.has_tcx { (Hook::TcxIngress, Hook::TcxEgress) } else { (Hook::ClsactIngress, Hook::ClsactEgress) };
        if xdp != Some(Hook::XdpNative) {
            // Only native XDP changes the flags below. Otherwise they are final, and a device that is served again
            // keeps them throughout.
            let expected = self.outcome(target, xdp, refused.clone());
            self.set_flags(target, &expected)?;
        }
        self.put(egress, target)?;
        if let Some(wanted) = xdp {
            // The kernel does not allow both XDP modes on one device.
            self.remove(link.index, |hook| hook.is_xdp() && hook != wanted)?;
            if let Err(error) = self.put(wanted, target) {
                (refused, xdp) = (Some(self.fall_back(error)?), None);
            }
        }
        let outcome = self.outcome(target, xdp, refused);
        self.set_flags(target, &outcome)?;
        self.put(ingress, target)?;
        // TC already serves the packets that an earlier agent's XDP program stops serving here.
        self.remove(link.index, |hook| ![Some(egress), Some(ingress), xdp].contains(&Some(hook)))?;
        Ok(outcome)
    }

    /// Loads the programs that a device needs. If XDP was refused and TC takes its place, returns the reason.
    fn load(&mut self, target: &Target) -> Result<Option<String>, AttachError> {
        let mut refused = None;
        for group in target.groups(self.mode) {
            match self.hooks.load(group) {
                Err(error) if group == Group::Xdp => refused = Some(self.fall_back(error)?),
                loaded => loaded?,
            }
        }
        Ok(refused)
    }

    /// Decides what follows from a refusal of XDP: returns it as the reason to serve by TC, or as the error if XDP was asked for
    /// explicitly.
    fn fall_back(&self, error: AttachError) -> Result<String, AttachError> {
        if self.mode == DeviceMode::Auto { Ok(Report(&error).to_string()) } else { Err(error) }
    }

    /// Returns the outcome. `xdp` is the XDP hook that is attached; `refused` is why XDP was refused.
    fn outcome(&self, target: &Target, xdp: Option<Hook>, refused: Option<String>) -> DeviceOutcome {
        let unreliable = target
            .unreliable
            .clone()
            .filter(|_| !target.link.bare && self.mode == DeviceMode::Auto && target.role == Role::Outside);
        match (xdp, refused, unreliable) {
            (_, Some(reason), _) => DeviceOutcome::FellBack(reason),
            (Some(Hook::XdpNative), ..) => {
                loss(&target.link).map_or(DeviceOutcome::Served("xdp"), DeviceOutcome::Lossy)
            }
            (Some(_), ..) => DeviceOutcome::Served("xdp-generic"),
            (None, None, Some(unreliable)) => DeviceOutcome::Unreliable(unreliable),
            (None, None, None) => DeviceOutcome::Served("tc"),
        }
    }

    /// Detaches a device's programs from the hooks for which `is_meant` returns true.
    fn remove(&mut self, device: u32, is_meant: impl Fn(Hook) -> bool) -> Result<(), AttachError> {
        let mut meant = self.pinned.iter().filter(|pinned| pinned.device == device && is_meant(pinned.hook));
        meant.try_for_each(|pinned| self.hooks.remove(pinned))
    }

    fn put(&mut self, hook: Hook, target: &Target) -> Result<(), AttachError> {
        let link = &target.link;
        let pinned = self.pinned.iter().find(|pinned| pinned.device == link.index && pinned.hook == hook);
        let place = DeviceHook { hook, device: link.index, name: link.name.clone() };
        let put = self.hooks.put(&place, pinned, target.variant())?;
        debug!(device = link.name, hook = hook.word(), ?put, "device hook");
        Ok(())
    }

    /// Writes the device's entry in DEVICES. Without it the programs take a pod's device for another, and the agent does not know
    /// the device again.
    fn set_flags(&mut self, target: &Target, outcome: &DeviceOutcome) -> Result<(), AttachError> {
        let flags = outcome.flags(target, self.mode);
        self.map.put(target.link.index, Device { flags }).map_err(AttachError::Note)
    }
}

#[cfg(test)]
mod tests;
