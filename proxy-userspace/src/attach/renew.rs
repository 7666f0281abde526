//! The programs for the hooks as pins: a start that dies while it puts them in place leaves them to the next one.

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
    maps::{MapsError, PinFolder, open},
    node::bpf,
};

/// Pins every program that hooks have, if it is loaded, by its name.
pub fn pin_programs(ebpf: &Ebpf, folder: &Path) -> Result<(), AttachError> {
    let on_devices = device::Hook::ALL.into_iter().flat_map(|hook| hook.programs().iter().copied());
    for name in cgroup::names().chain(on_devices) {
        let path = folder.join(name);
        let Ok(program) = program(ebpf, name) else { continue };
        // The name is that of several hooks.
        if !path.exists() {
            bpf::pin(program, &path).map_err(|source| AttachError::Pin { path, source })?;
        }
    }
    Ok(())
}

/// Gives every hook of an instance the pinned program, in one step each. A hook that can't have it is told: its device or
/// cgroup may be gone. One for which there is none loses its own, whose stages go: of an agent that serves no device, or that
/// the kernel has refused these programs. XDP first, whose packets TC serves then; and nobody redirects to a device that has just
/// lost it.
pub fn renew(folder: &PinFolder, programs: &Path) -> Result<(), AttachError> {
    for name in cgroup::names() {
        let pin = folder.links().join(name);
        if pin.exists() {
            let renewed =
                bpf::open_pin(&pin).and_then(|link| bpf::update_link(link, bpf::open_pin(&programs.join(name))?));
            if let Err(error) = renewed {
                warn!(hook = name, %error, "a hook keeps an earlier program for now");
            }
        }
    }
    let on_devices = Programs::open(programs);
    if on_devices.of(Hook::XdpNative, Variant::Frames).is_err()
        && let Err(error) = end_redirects(folder)
    {
        warn!(%error, "devices that still have XDP may send to others that have it no more: some packets may be lost right now");
    }
    for hook in device::list(folder)? {
        if let Err(error) = hook.renew(&on_devices, folder) {
            warn!(device = hook.name, hook = hook.hook.word(), %error, "a hook keeps an earlier program for now");
        }
    }
    Ok(())
}

/// Has XDP leave to TC what it would redirect to other devices, before one after the other loses XDP: many cards drop what they are given
/// while they have none.
fn end_redirects(folder: &PinFolder) -> Result<(), MapsError> {
    let mut map: HashMap<MapData, u32, Device> = open(folder, "DEVICES")?;
    let devices: Vec<(u32, Device)> = map.iter().filter_map(Result::ok).collect();
    let ended = devices
        .into_iter()
        .try_for_each(|(index, Device { flags })| map.insert(index, Device { flags: flags & !Device::REDIRECT }, 0));
    ended.map_err(|source| MapsError::Type { name: "DEVICES", source })
}
