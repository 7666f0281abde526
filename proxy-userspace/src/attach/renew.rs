//! Pins the programs of a new set, so that the next start can finish the replacement if this one dies in the middle of it.

use std::path::Path;

use aya::{
    Ebpf,
    maps::{HashMap, MapData},
};
use proxy_common::Device;
use tracing::warn;

use super::{
    AttachError, Programs, Variant, cgroup,
    device::{self, Hook},
    program,
};
use crate::{
    logging::errors::Report,
    maps::{MapsError, PinFolder, open},
    node::bpf,
};

/// Pins every loaded program that is for a hook, in `folder`, by its name in the eBPF object.
pub fn pin_programs(ebpf: &Ebpf, folder: &Path) -> Result<(), AttachError> {
    let on_devices = device::Hook::ALL.into_iter().flat_map(|hook| hook.programs().iter().copied());
    for name in cgroup::names().chain(on_devices) {
        let path = folder.join(name);
        let Ok(program) = program(ebpf, name) else { continue };
        // Several hooks have the same program.
        if !path.exists() {
            bpf::pin(program, &path).map_err(|source| AttachError::Pin { path, source })?;
        }
    }
    Ok(())
}

/// Gives every hook of an instance, on the cgroup at `path` and on devices, its pinned program of the set in `new`, each
/// atomically. Logs hooks that can't be updated: their device or cgroup may have been removed. A device hook for which `new` has
/// no program is detached, since the stages of its old program are about to be removed: the earlier start served no devices, or
/// the kernel refused these programs. XDP hooks come first: TC then serves their packets, and no program redirects to a device
/// that has just lost XDP.
pub fn renew(folder: &PinFolder, new: &PinFolder, path: &Path) -> Result<(), AttachError> {
    cgroup::renew(new, path);
    let on_devices = Programs::open(&new.programs());
    if on_devices.of(Hook::XdpNative, Variant::Frames).is_err()
        && let Err(error) = end_redirects(folder)
    {
        warn!(
            error = %Report(&error),
            "devices with XDP may redirect to devices that have just lost it: some packets may be lost now"
        );
    }
    for hook in device::list(folder)? {
        if let Err(error) = hook.renew(&on_devices, folder) {
            warn!(
                device = hook.name, hook = hook.hook.word(), error = %Report(&error),
                "a hook keeps an earlier program for now"
            );
        }
    }
    Ok(())
}

/// Makes XDP programs leave to TC what they would redirect, before the devices lose XDP one after the other: many network cards
/// drop redirected packets while they have no XDP program.
fn end_redirects(folder: &PinFolder) -> Result<(), MapsError> {
    let mut map: HashMap<MapData, u32, Device> = open(folder, "DEVICES")?;
    let devices: Vec<(u32, Device)> = map.iter().filter_map(Result::ok).collect();
    let ended = devices
        .into_iter()
        .try_for_each(|(index, Device { flags })| map.insert(index, Device { flags: flags & !Device::REDIRECT }, 0));
    ended.map_err(|source| MapsError::Type { name: "DEVICES", source })
}
