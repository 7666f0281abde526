//! The hooks of a device: their kinds, the names of their pins, and the programs on them. A pin's name, such as `xdp-2-eth0`, says
//! what is attached where, so that it can be read even after the device was removed.

use std::{collections::BTreeSet, fmt, fs, io, path::PathBuf, str::FromStr};

use aya::programs::{ProgramInfo, loaded_programs};

use super::{AttachError, Group, Programs, Put, Variant, clsact, tcx, xdp};
use crate::{
    maps::PinFolder,
    node::{bpf, capabilities},
};

/// A hook that runs a program on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    /// XDP in the driver.
    XdpNative,
    /// XDP after the driver, on socket buffers: works on any device, but is no faster than TC.
    XdpGeneric,
    /// TC ingress with a link (TCX). Linux 6.6 and later.
    TcxIngress,
    /// TC egress with a link (TCX). Linux 6.6 and later.
    TcxEgress,
    /// TC ingress with a filter of the device's clsact qdisc.
    ClsactIngress,
    /// TC egress with a filter of the device's clsact qdisc.
    ClsactEgress,
}

impl Hook {
    /// All hooks, in the order in which they are removed: TC then serves the packets that XDP no longer serves.
    pub const ALL: [Self; 6] =
        [Self::XdpNative, Self::XdpGeneric, Self::TcxIngress, Self::ClsactIngress, Self::TcxEgress, Self::ClsactEgress];

    /// Returns the prefix of the names of this hook's pins.
    pub const fn word(self) -> &'static str {
        match self {
            Self::XdpNative => "xdp",
            Self::XdpGeneric => "xdp_generic",
            Self::TcxIngress => "tcx_ingress",
            Self::TcxEgress => "tcx_egress",
            Self::ClsactIngress => "clsact_ingress",
            Self::ClsactEgress => "clsact_egress",
        }
    }

    /// Returns the name, in the eBPF object, of this hook's program for Ethernet frames.
    pub const fn program(self) -> &'static str {
        self.programs()[0]
    }

    /// Returns the names of this hook's programs, indexed by [`Variant`]: for Ethernet frames and, on TC hooks, for L3 devices and
    /// for SCTP alone.
    pub const fn programs(self) -> &'static [&'static str] {
        match self {
            Self::XdpNative | Self::XdpGeneric => &["xdp"],
            Self::TcxIngress | Self::ClsactIngress => &["tc_ingress", "tc_ingress_bare", "tc_sctp_in"],
            Self::TcxEgress | Self::ClsactEgress => &["tc_egress", "tc_egress_bare", "tc_sctp_out"],
        }
    }

    /// Whether this is one of the two XDP hooks.
    pub const fn is_xdp(self) -> bool {
        matches!(self, Self::XdpNative | Self::XdpGeneric)
    }

    /// Whether the program is attached with a link; a clsact filter has none.
    pub const fn has_link(self) -> bool {
        !matches!(self, Self::ClsactIngress | Self::ClsactEgress)
    }
}

/// A hook of one device. Its pin is a link, or, for a clsact filter, the program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceHook {
    /// The hook.
    pub hook: Hook,
    /// The device's index.
    pub device: u32,
    /// The device's name when the hook was attached.
    pub name: String,
}

/// bpffs refuses dots, which device names may contain.
const DOT: &str = "%2e";

impl fmt::Display for DeviceHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.replace('%', "%25").replace('.', DOT);
        write!(f, "{}-{}-{name}", self.hook.word(), self.device)
    }
}

/// The error for a text that is not the name of a device hook's pin.
#[derive(Debug, PartialEq, Eq)]
pub struct NotADeviceHook;

impl FromStr for DeviceHook {
    type Err = NotADeviceHook;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, '-');
        let mut next = || parts.next().ok_or(NotADeviceHook);
        let (word, device, name) = (next()?, next()?, next()?);
        let hook = Hook::ALL.into_iter().find(|hook| hook.word() == word).ok_or(NotADeviceHook)?;
        let device = device.parse().map_err(|_| NotADeviceHook)?;
        Ok(Self { hook, device, name: name.replace(DOT, ".").replace("%25", "%") })
    }
}

impl DeviceHook {
    /// Returns the path of this hook's pin.
    pub fn pin(&self, folder: &PinFolder) -> PathBuf {
        folder.links().join(self.to_string())
    }

    /// Returns the device as messages name it.
    pub(super) fn shown(&self) -> String {
        format!("device {}", self.name)
    }

    /// Attaches the program, or replaces an existing one atomically. `pinned` is the hook's existing pin, which may
    /// carry an earlier name of the device.
    pub fn put(
        &self,
        programs: &Programs,
        folder: &PinFolder,
        pinned: Option<&Self>,
        variant: Variant,
    ) -> Result<Put, AttachError> {
        let pin = self.pin(folder);
        if let Some(old) = pinned.filter(|old| *old != self) {
            let old = old.pin(folder);
            fs::rename(&old, &pin).map_err(|source| AttachError::Replace { path: old, source })?;
        }
        let program = programs.of(self.hook, variant)?;
        match self.hook {
            Hook::XdpNative | Hook::XdpGeneric => xdp::put(self, program, &pin),
            Hook::TcxIngress | Hook::TcxEgress => tcx::put(self, program, &pin),
            Hook::ClsactIngress | Hook::ClsactEgress => clsact::put(self, program, folder),
        }
    }

    /// Returns the attached program; `None` if this process may not see it. Seeing a program that is not pinned takes
    /// CAP_SYS_ADMIN.
    pub(crate) fn program(&self, folder: &PinFolder) -> Option<ProgramInfo> {
        let pin = self.pin(folder);
        if !self.hook.has_link() {
            return ProgramInfo::from_pin(pin).ok();
        }
        let id = bpf::link_info(bpf::open_pin(&pin).ok()?).ok()?.program;
        capabilities::with_all_programs_visible(|| loaded_programs().flatten().find(|program| program.id() == id))
    }

    /// Replaces the attached program atomically by the new program of its variant. Detaches it if there is no new program, or if
    /// its variant is unknown: the program for another kind of device would misread the packets.
    pub(super) fn renew(&self, programs: &Programs, folder: &PinFolder) -> Result<(), AttachError> {
        let attached = || self.program(folder).map(|program| Variant::of(&program));
        let variant = if self.hook.is_xdp() { Some(Variant::Frames) } else { attached() };
        let program = variant.and_then(|variant| programs.of(self.hook, variant).ok());
        let Some(program) = program else { return self.remove(folder) };
        let path = self.pin(folder);
        if !self.hook.has_link() {
            return clsact::put(self, program, folder).map(drop);
        }
        let renewed = bpf::open_pin(&path).and_then(|link| bpf::update_link(link, program));
        renewed.map_err(|source| AttachError::Replace { path, source })
    }

    /// Detaches the program, if it is attached, and removes the pin.
    pub fn remove(&self, folder: &PinFolder) -> Result<(), AttachError> {
        self.detach(folder)?;
        let path = self.pin(folder);
        absent(fs::remove_file(&path)).map_err(|source| AttachError::Detach { path, source })
    }

    /// Detaches the program, and leaves the pin. When this returns, another program can take its place; the kernel would detach an
    /// unpinned link only some time later.
    pub fn detach(&self, folder: &PinFolder) -> Result<(), AttachError> {
        let path = self.pin(folder);
        let detached = if self.hook.has_link() {
            absent(bpf::open_pin(&path).and_then(bpf::detach_link))
        } else {
            clsact::remove(self, folder)
        };
        detached.map_err(|source| AttachError::Detach { path, source })
    }

    /// Whether the program is no longer attached: its device was removed (another device may have its index now), or another
    /// process has detached it.
    pub fn is_dead(&self, folder: &PinFolder) -> bool {
        if !self.pin(folder).exists() {
            return true;
        }
        if !self.hook.has_link() {
            return clsact::is_ours(self, folder).is_ok_and(|is_ours| !is_ours);
        }
        let info = || bpf::link_info(bpf::open_pin(&self.pin(folder))?);
        info().is_ok_and(|link| link.device() != self.device)
    }
}

/// Whether there is no device with this index in the calling thread's network namespace.
pub fn is_gone(device: u32) -> bool {
    let found = xdp::find(device, None, |_| None::<()>);
    found.is_err_and(|error| error.raw_os_error() == Some(libc::ENODEV))
}

/// Returns the groups of the programs that are attached to devices now, without [`Group::Tc`], which every device needs.
pub fn groups(folder: &PinFolder) -> Result<BTreeSet<Group>, AttachError> {
    let group = |hook: &DeviceHook| {
        let is_bare = || hook.program(folder).is_some_and(|program| Variant::of(&program) == Variant::Bare);
        if hook.hook.is_xdp() { Some(Group::Xdp) } else { is_bare().then_some(Group::Bare) }
    };
    Ok(list(folder)?.iter().filter_map(group).collect())
}

/// Treats the error that an object does not exist as success.
fn absent(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// Lists the device hooks of an instance, in the order of [`Hook::ALL`].
pub fn list(folder: &PinFolder) -> Result<Vec<DeviceHook>, AttachError> {
    let error = |source| AttachError::List { path: folder.links(), source };
    let mut hooks = Vec::new();
    for entry in fs::read_dir(folder.links()).map_err(error)? {
        hooks.extend(entry.map_err(error)?.file_name().to_str().and_then(|name| name.parse().ok()));
    }
    hooks.sort_by_key(|hook: &DeviceHook| (Hook::ALL.iter().position(|known| *known == hook.hook), hook.device));
    Ok(hooks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_keeps_the_programs_names_whole() {
        // BPF_OBJ_NAME_LEN is 16, including the terminating zero.
        assert!(Hook::ALL.iter().flat_map(|hook| hook.programs()).all(|name| name.len() < 16));
    }

    #[test]
    fn pins_are_named_without_dots_and_read_back() {
        for (name, pin) in [
            ("eth0", "xdp_generic-7-eth0"),
            ("eth0.100", "xdp_generic-7-eth0%2e100"),
            ("a-%2e", "xdp_generic-7-a-%252e"),
        ] {
            let hook = DeviceHook { hook: Hook::XdpGeneric, device: 7, name: name.to_owned() };
            assert_eq!(hook.to_string(), pin);
            assert_eq!(pin.parse(), Ok(hook));
        }
        for other in ["connect4", "xdp", "xdp-2", "xdp-x-eth0", "tc-2-eth0"] {
            assert_eq!(other.parse::<DeviceHook>(), Err(NotADeviceHook), "{other}");
        }
    }
}
