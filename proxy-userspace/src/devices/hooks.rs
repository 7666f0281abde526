//! The hooks of devices: where programs are loaded, attached and detached. Tests replace them by a double.

use crate::{
    attach::{
        AttachError, Group, ProgramSet, Put, Variant,
        device::{self, DeviceHook},
    },
    maps::PinFolder,
};

/// Programs on hooks of devices.
pub(super) trait DeviceHooks {
    /// Lists the hooks that have programs.
    fn list(&self) -> Result<Vec<DeviceHook>, AttachError>;

    /// Loads a group of programs, unless it is loaded.
    fn load(&mut self, group: Group) -> Result<(), AttachError>;

    /// Attaches a program, or replaces the present one atomically. `pinned` is the hook as it was listed, perhaps with an earlier
    /// name of the device.
    fn put(&mut self, hook: &DeviceHook, pinned: Option<&DeviceHook>, variant: Variant) -> Result<Put, AttachError>;

    /// Detaches the program, if there is one.
    fn remove(&mut self, hook: &DeviceHook) -> Result<(), AttachError>;

    /// Whether the program is no longer attached.
    fn is_dead(&self, hook: &DeviceHook) -> bool;

    /// Whether the device with this index is gone.
    fn is_gone(&self, device: u32) -> bool;
}

/// The kernel's hooks, with the pins of an instance.
pub(super) struct PinnedHooks {
    pub(super) program_set: ProgramSet,
    pub(super) folder: PinFolder,
}

impl DeviceHooks for PinnedHooks {
    fn list(&self) -> Result<Vec<DeviceHook>, AttachError> {
        device::list(&self.folder)
    }

    fn load(&mut self, group: Group) -> Result<(), AttachError> {
        self.program_set.load(group)
    }

    fn put(&mut self, hook: &DeviceHook, pinned: Option<&DeviceHook>, variant: Variant) -> Result<Put, AttachError> {
        hook.put(self.program_set.programs(), &self.folder, pinned, variant)
    }

    fn remove(&mut self, hook: &DeviceHook) -> Result<(), AttachError> {
        hook.remove(&self.folder)
    }

    fn is_dead(&self, hook: &DeviceHook) -> bool {
        hook.is_dead(&self.folder)
    }

    fn is_gone(&self, device: u32) -> bool {
        device::is_gone(device)
    }
}
