//! The programs to trace: those on the hooks of devices, as the pins say. Devices may share a program.

use std::collections::{BTreeMap, BTreeSet};

use super::{error::CaptureError, hook::Stage};
use crate::commands::get::{DeviceRow, devices};

/// What is to be traced at this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Targets {
    /// Each program's id, and the hook that it is on.
    pub(super) programs: BTreeMap<u32, Stage>,
    /// The devices' names by index.
    pub(super) devices: BTreeMap<u32, String>,
}

impl Targets {
    /// Looks which programs devices have. `wanted` are names of devices; none means every device.
    pub(super) fn look(instance: &str, wanted: &[String]) -> Result<Self, CaptureError> {
        Ok(Self::of(devices(instance)?, wanted))
    }

    fn of(rows: Vec<DeviceRow>, wanted: &[String]) -> Self {
        let rows = rows.into_iter().filter(|row| wanted.is_empty() || wanted.contains(&row.device));
        let mut targets = Self::default();
        for row in rows {
            let programs = row.programs.iter().filter_map(|cell| Some((cell.program?, Stage::of(cell.hook)?)));
            let programs: BTreeMap<u32, Stage> = programs.collect();
            if !programs.is_empty() {
                targets.devices.insert(row.index, row.device);
                targets.programs.extend(programs);
            }
        }
        targets
    }

    /// Checks that every device that is asked for is there.
    pub(super) fn check(&self, instance: &str, wanted: &[String]) -> Result<(), CaptureError> {
        let names: BTreeSet<&String> = self.devices.values().collect();
        if let Some(device) = wanted.iter().find(|device| !names.contains(device)) {
            let all = Self::look(instance, &[])?.devices.into_values().collect();
            return Err(CaptureError::Device { device: device.clone(), devices: all });
        }
        if self.programs.is_empty() { Err(CaptureError::NoDevices(instance.to_owned())) } else { Ok(()) }
    }

    /// Names the devices and hooks, for people.
    pub(super) fn shown(&self) -> String {
        let stages: BTreeSet<&str> = self.programs.values().map(|stage| stage.name()).collect();
        let devices: Vec<&str> = self.devices.values().map(String::as_str).collect();
        format!("{} ({})", devices.join(", "), stages.into_iter().collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{attach::Mode, commands::get::ProgramCell};

    fn row(device: &str, index: u32, programs: &[(&'static str, Option<u32>)]) -> DeviceRow {
        let programs = programs.iter().map(|(hook, program)| ProgramCell { hook, program: *program, link: None });
        DeviceRow {
            device: device.to_owned(),
            index,
            mode: Mode::Xdp,
            why: "-",
            fell_back: false,
            pod: false,
            programs: programs.collect(),
        }
    }

    #[test]
    fn each_program_is_traced_once() {
        let rows = vec![
            row("eth0", 2, &[("xdp", Some(7)), ("tcx_egress", Some(9))]),
            row("eth1", 3, &[("xdp", Some(7)), ("clsact_egress", Some(9))]),
            row("gone", 4, &[("xdp", None)]),
        ];
        let targets = Targets::of(rows.clone(), &[]);
        assert_eq!(targets.programs, BTreeMap::from([(7, Stage::Xdp), (9, Stage::Egress)]));
        assert_eq!(targets.shown(), "eth0, eth1 (tc egress, xdp)");
        let one = Targets::of(rows, &["eth1".to_owned()]);
        assert_eq!(one.devices, BTreeMap::from([(3, "eth1".to_owned())]));
    }
}
