//! `waggle get devices`: one row for each device with programs, from the names of the pins, their links and the map
//! DEVICES. The devices themselves are not queried, so it works in any network namespace.

use std::collections::BTreeMap;

use aya::{
    maps::{HashMap, MapData},
    programs::ProgramInfo,
};
use proxy_common::Device;
use serde::Serialize;

use super::{InspectError, output::Row, snapshot::find};
use crate::{
    attach::{
        Mode,
        device::{DeviceHook, list},
    },
    maps::{PinFolder, open_read_only},
    node::bpf,
};

/// A program on a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProgramCell {
    /// The hook that the program is attached to: the prefix of its pin's name.
    pub hook: &'static str,
    /// The program's id in the kernel; `None` if it is gone with its device.
    pub program: Option<u32>,
    /// The link's id; `None` for clsact filters, which have no link.
    pub link: Option<u32>,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceRow {
    /// The device's name when the programs were attached.
    pub device: String,
    /// The device's index.
    pub index: u32,
    /// How the device is served.
    pub mode: Mode,
    /// Why the device is served like this.
    pub why: &'static str,
    /// Whether TC serves the device because native XDP was refused.
    pub fell_back: bool,
    /// Whether the device is the host end of a pod.
    pub pod: bool,
    /// The attached programs.
    pub programs: Vec<ProgramCell>,
}

/// Returns the devices of an instance by index.
pub fn devices(instance: &str) -> Result<Vec<DeviceRow>, InspectError> {
    find(instance)?;
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

/// Returns the row of the device that these hooks belong to; `None` without hooks.
fn row(hooks: &[DeviceHook], flags: u32, programs: Vec<ProgramCell>) -> Option<DeviceRow> {
    let mode = Mode::of(hooks);
    let first = hooks.first()?;
    Some(DeviceRow {
        device: first.name.clone(),
        index: first.device,
        mode,
        why: why(mode, flags),
        fell_back: flags & Device::FELL_BACK != 0,
        pod: flags & Device::POD != 0,
        programs,
    })
}

/// Returns the reason in words; the agent's log has the details.
fn why(mode: Mode, flags: u32) -> &'static str {
    let is = |flag| flags & flag != 0;
    match mode {
        _ if is(Device::BARE) => "no Ethernet frames, which XDP needs",
        _ if is(Device::SCTP) => "host end of a pod, for SCTP only: there are SCTP Services",
        _ if is(Device::POD) => "host end of a pod",
        _ if is(Device::FELL_BACK) => "native XDP was refused",
        _ if is(Device::UNSURE) => "packets that native XDP sends from such a device may be lost",
        _ if is(Device::LOSSY) => "--device-mode; packets that it sends are lost: the veth's peer has no native XDP",
        _ if is(Device::MODE_IS_CHOSEN) => "--device-mode",
        Mode::Xdp => "the driver has native XDP",
        Mode::XdpGeneric | Mode::Tc => "-",
    }
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
    type Key = (u32, String);

    const KIND: &'static str = "devices";
    const WIDE: &'static [&'static str] = &["POD"];
    const NUMBERS: &'static [&'static str] = &["index"];

    fn titles() -> Vec<&'static str> {
        vec!["DEVICE", "INDEX", "MODE", "PROGRAMS", "WHY"]
    }

    fn fields() -> Vec<&'static str> {
        vec!["device", "index", "mode", "why", "fellBack", "pod"]
    }

    fn key(&self) -> Self::Key {
        (self.index, self.device.clone())
    }

    fn cells(&self) -> Vec<String> {
        let program = |cell: &ProgramCell| match cell.program {
            Some(id) => format!("{}={id}", cell.hook),
            None => format!("{}=gone", cell.hook),
        };
        vec![
            self.device.clone(),
            self.index.to_string(),
            self.mode.to_string(),
            self.programs.iter().map(program).collect::<Vec<_>>().join(","),
            self.why.to_owned(),
        ]
    }

    fn wide_cells(&self) -> Vec<String> {
        vec![if self.pod { "yes" } else { "-" }.to_owned()]
    }

    fn is_named(&self, name: &str) -> bool {
        self.device == name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        attach::device::Hook,
        commands::get::{Look, json, table},
    };

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
DEVICE   INDEX   MODE   PROGRAMS             WHY
eth0     2       xdp    xdp=7,tcx_egress=9   the driver has native XDP
br0      11      tc     clsact_egress=9      native XDP was refused
tap1     5       tc     tcx_ingress=gone     host end of a pod
";
        assert_eq!(table(&rows, Look::default()), wanted);
        let text = json(&rows[1..2]).unwrap();
        assert!(text.contains("\"fellBack\": true") && text.contains("\"mode\": \"tc\""), "{text}");
        assert!(row(&[], 0, vec![]).is_none());
    }

    #[test]
    fn w04_every_mode_has_a_reason() {
        for (mode, flags, begin) in [
            (Mode::Tc, Device::UNSURE, "packets that native XDP sends from such a device may be lost"),
            (Mode::Tc, Device::MODE_IS_CHOSEN, "--device-mode"),
            (Mode::Xdp, Device::REDIRECT | Device::MODE_IS_CHOSEN, "--device-mode"),
            (
                Mode::Xdp,
                Device::REDIRECT | Device::MODE_IS_CHOSEN | Device::LOSSY,
                "--device-mode; packets that it sends are lost",
            ),
            (Mode::Xdp, Device::REDIRECT, "the driver has native XDP"),
        ] {
            assert!(why(mode, flags).starts_with(begin), "{mode} {flags}");
        }
    }
}
