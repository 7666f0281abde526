//! Reads from an instance's pins which hooks of the cgroup and of devices have programs. Changes nothing, and needs no running
//! agent.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{
    AttachError, cgroup,
    device::{DeviceHook, Hook, list},
};
use crate::{maps::PinFolder, node::bpf};

/// How a device's packets are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// XDP in the driver, with TC beside it.
    Xdp,
    /// XDP on socket buffers, with TC beside it.
    XdpGeneric,
    /// TC only.
    Tc,
}

impl Mode {
    /// Returns the mode of a device that has programs on these hooks.
    pub fn of(hooks: &[DeviceHook]) -> Self {
        let has = |wanted| hooks.iter().any(|hook| hook.hook == wanted);
        if has(Hook::XdpNative) {
            Self::Xdp
        } else if has(Hook::XdpGeneric) {
            Self::XdpGeneric
        } else {
            Self::Tc
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Xdp => "xdp",
            Self::XdpGeneric => "xdp-generic",
            Self::Tc => "tc",
        })
    }
}

/// The hooks of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attached {
    /// Each hook of the cgroup, and whether it has its program.
    pub hooks: Vec<(&'static str, bool)>,
    /// The devices that have pins, by index.
    pub devices: Vec<AttachedDevice>,
}

/// A device with pinned hooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedDevice {
    /// The device's name when its programs were attached.
    pub name: String,
    /// How it is served.
    pub mode: Mode,
    /// Whether every pinned hook still has its program. False after the device was removed, too.
    pub is_attached: bool,
}

impl Attached {
    /// Reads the pins of an instance. Filters of clsact, which kernels before 6.6 have instead of links, are looked for in the
    /// calling thread's network namespace.
    pub fn read(folder: &PinFolder) -> Result<Self, AttachError> {
        let mut devices: BTreeMap<u32, Vec<DeviceHook>> = BTreeMap::new();
        for hook in list(folder)? {
            devices.entry(hook.device).or_default().push(hook);
        }
        let device = |hooks: Vec<DeviceHook>| {
            let name = hooks.first()?.name.clone();
            let is_attached = !hooks.iter().any(|hook| hook.is_dead(folder));
            Some(AttachedDevice { name, mode: Mode::of(&hooks), is_attached })
        };
        let hooks = cgroup::names().map(|name| (name, has_link(folder, name))).collect();
        Ok(Self { hooks, devices: devices.into_values().filter_map(device).collect() })
    }
}

/// Whether the pinned link of a cgroup's hook is attached.
fn has_link(folder: &PinFolder, name: &str) -> bool {
    let info = || bpf::link_info(bpf::open_pin(&folder.links().join(name))?);
    info().is_ok_and(|link| link.cgroup() != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_follows_from_the_hooks() {
        let hook = |hook| DeviceHook { hook, device: 2, name: "eth0".to_owned() };
        for (hooks, mode) in [
            (vec![Hook::XdpNative, Hook::TcxEgress], Mode::Xdp),
            (vec![Hook::XdpGeneric, Hook::ClsactIngress], Mode::XdpGeneric),
            (vec![Hook::TcxIngress, Hook::TcxEgress], Mode::Tc),
        ] {
            assert_eq!(Mode::of(&hooks.into_iter().map(hook).collect::<Vec<_>>()), mode);
        }
    }
}
