//! `waggle get devices`: one row a device with programs, from the names of the pins, the links behind them and the
//! map DEVICES. It asks no device, so that it works from any network namespace.

use std::{collections::BTreeMap, fmt, path::Path};

use aya::{
    maps::{HashMap, MapData},
    programs::ProgramInfo,
};
use proxy_common::Device;
use serde::Serialize;

use super::{InspectError, snapshot::find, table::Row};
use crate::{
    attach::device::{DeviceHook, Hook, list},
    bpf,
    maps::{PIN_ROOT, PinFolder, open_read_only},
};

/// How a device's packets are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// XDP in the driver, with TC beside it.
    Xdp,
    /// XDP on socket buffers, with TC beside it.
    XdpGeneric,
    /// TC.
    Tc,
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

/// A program on a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProgramCell {
    /// The hook it is on, by the beginning of its pin's name.
    pub hook: &'static str,
    /// The program's id in the kernel; none when it has gone with its device.
    pub program: Option<u32>,
    /// The link's id; none for filters, which have no link.
    pub link: Option<u32>,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceRow {
    /// Its name when the programs were attached.
    pub device: String,
    /// Its index.
    pub index: u32,
    /// How it is served.
    pub mode: Mode,
    /// It is served by TC because native XDP was refused.
    pub fell_back: bool,
    /// It is the host end of a pod.
    pub pod: bool,
    /// What is on it.
    pub programs: Vec<ProgramCell>,
}

/// The devices of an instance by index.
pub fn devices(instance: &str) -> Result<Vec<DeviceRow>, InspectError> {
    find(Path::new(PIN_ROOT), instance)?;
    let folder = PinFolder::new(instance);
    let map: HashMap<MapData, u32, Device> = open_read_only(&folder, "DEVICES")?;
    let mut hooks: BTreeMap<u32, Vec<DeviceHook>> = BTreeMap::new();
    for hook in list(&folder)? {
        hooks.entry(hook.device).or_default().push(hook);
    }
    let flags = |index| map.get(&index, 0).map_or(0, |device| device.flags);
    let cells = |hooks: &[DeviceHook]| hooks.iter().map(|hook| cell(hook, &folder)).collect();
    Ok(hooks.into_iter().filter_map(|(index, hooks)| row(&hooks, flags(index), cells(&hooks))).collect())
}

/// The row of the device that these hooks belong to.
fn row(hooks: &[DeviceHook], flags: u32, programs: Vec<ProgramCell>) -> Option<DeviceRow> {
    let has = |wanted| hooks.iter().any(|hook| hook.hook == wanted);
    let mode = if has(Hook::XdpNative) {
        Mode::Xdp
    } else if has(Hook::XdpGeneric) {
        Mode::XdpGeneric
    } else {
        Mode::Tc
    };
    let first = hooks.first()?;
    Some(DeviceRow {
        device: first.name.clone(),
        index: first.device,
        mode,
        fell_back: flags & Device::FELL_BACK != 0,
        pod: flags & Device::POD != 0,
        programs,
    })
}

fn cell(hook: &DeviceHook, folder: &PinFolder) -> ProgramCell {
    let pin = hook.pin(folder);
    let (program, link) = if hook.hook.has_link() {
        let info = bpf::open_pin(&pin).and_then(bpf::link_info).ok();
        (info.filter(|info| info.device() == hook.device).map(|info| info.program), info.map(|info| info.id))
    } else {
        (ProgramInfo::from_pin(&pin).ok().map(|info| info.id()), None)
    };
    ProgramCell { hook: hook.hook.word(), program, link }
}

impl Row for DeviceRow {
    const TITLES: &'static [&'static str] = &["DEVICE", "INDEX", "MODE", "PROGRAMS", "NOTE"];

    fn cells(&self) -> Vec<String> {
        let program = |cell: &ProgramCell| match cell.program {
            Some(id) => format!("{}={id}", cell.hook),
            None => format!("{}=gone", cell.hook),
        };
        let notes = [(self.fell_back, "fell back: no native XDP"), (self.pod, "pod")];
        let notes: Vec<_> = notes.into_iter().filter(|note| note.0).map(|note| note.1).collect();
        vec![
            self.device.clone(),
            self.index.to_string(),
            self.mode.to_string(),
            self.programs.iter().map(program).collect::<Vec<_>>().join(","),
            if notes.is_empty() { "-".to_owned() } else { notes.join(", ") },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::{json, table};

    fn hook(hook: Hook, device: u32, name: &str) -> DeviceHook {
        DeviceHook { hook, device, name: name.to_owned() }
    }

    fn cell(hook: &'static str, program: Option<u32>, link: Option<u32>) -> ProgramCell {
        ProgramCell { hook, program, link }
    }

    #[test]
    fn a_device_is_one_row_that_says_what_fell_back() {
        let native = row(
            &[hook(Hook::XdpNative, 2, "eth0"), hook(Hook::TcxEgress, 2, "eth0")],
            Device::REDIRECT,
            vec![cell("xdp", Some(7), Some(3)), cell("tcx_egress", Some(9), Some(4))],
        );
        let bridge =
            row(&[hook(Hook::ClsactEgress, 11, "br0")], Device::FELL_BACK, vec![cell("clsact_egress", Some(9), None)]);
        let pod = row(&[hook(Hook::TcxIngress, 5, "tap1")], Device::POD, vec![cell("tcx_ingress", None, Some(5))]);
        let rows: Vec<_> = [native, bridge, pod].into_iter().flatten().collect();
        let wanted = "\
DEVICE   INDEX   MODE   PROGRAMS             NOTE
eth0     2       xdp    xdp=7,tcx_egress=9   -
br0      11      tc     clsact_egress=9      fell back: no native XDP
tap1     5       tc     tcx_ingress=gone     pod
";
        assert_eq!(table(&rows), wanted);
        let text = json(&rows[1..2]).unwrap();
        assert!(text.contains("\"fellBack\": true") && text.contains("\"mode\": \"tc\""), "{text}");
        assert!(row(&[], 0, vec![]).is_none());
    }
}
