//! Makes the report of an instance from its pins alone, for when no agent answers.

use std::{collections::BTreeSet, time::SystemTime};

use proxy_common::FrontendKind;

use crate::{
    attach::Attached,
    commands::{
        get::{Fill, InspectError, MapRow, Snapshot, maps},
        ready,
    },
    logging::errors::Report,
    maps::{PinFolder, encode},
    server::status::{DeviceReport, Health, HookReport, InForce, MapReport, StatusReport, devices, hooks},
};

/// What the pins say.
#[derive(Debug)]
pub(super) struct Pinned {
    in_force: InForce,
    hooks: Vec<HookReport>,
    devices: Vec<DeviceReport>,
    maps: Vec<MapReport>,
}

impl Pinned {
    /// Reads the pins of an instance.
    pub(super) fn read(instance: &str) -> Result<Self, InspectError> {
        let snapshot = Snapshot::read(instance)?;
        let attached = Attached::read(&PinFolder::new(instance))?;
        let rows = maps(&Fill::read(instance)?);
        Ok(Self {
            in_force: in_force(&snapshot),
            hooks: hooks(&attached, &[]),
            devices: devices(&attached, &[]),
            maps: rows.iter().filter_map(map).collect(),
        })
    }

    /// Returns the report. `unknown` is why no agent says more.
    pub(super) fn report(self, instance: &str, unknown: &(dyn std::error::Error + 'static)) -> StatusReport {
        let what_follows = if ready::check(instance).is_ok() {
            "the instance's agent runs, so it serves its status at another address (--address names it) or not at all"
        } else {
            "what is in force is served on, but no change is followed: start the agent, or name its address with --address"
        };
        let agent = format!("{}; {what_follows}", Report(unknown));
        let lost = self.hooks.iter().filter(|hook| !hook.attached).map(|hook| {
            format!("hook {} of the cgroup has no program, so processes on this node may not reach Services", hook.name)
        });
        let unserved = self.devices.iter().filter(|device| !device.attached).map(|device| {
            format!(
                "device {} is gone or has lost a program, so packets that arrive on it reach no Service",
                device.name
            )
        });
        let reasons = [agent].into_iter().chain(lost).chain(unserved).collect();
        StatusReport {
            instance: instance.to_owned(),
            time: SystemTime::now().into(),
            health: Health::Unhealthy,
            reasons,
            agent: None,
            in_force: self.in_force,
            hooks: self.hooks,
            devices: self.devices,
            maps: self.maps,
        }
    }
}

fn in_force(snapshot: &Snapshot) -> InForce {
    let ports = snapshot.names.values().filter_map(encode::port_id);
    let services: BTreeSet<_> = ports.map(|port| port.service).collect();
    let is_frontend = |kind: u8| {
        let kind = FrontendKind::from_number(kind);
        kind.is_some_and(|kind| !matches!(kind, FrontendKind::Owner | FrontendKind::ExternalOwner))
    };
    InForce {
        services: services.len(),
        service_ports: snapshot.names.len(),
        frontends: snapshot.services.values().filter(|service| is_frontend(service.kind)).count(),
        backends: snapshot.backends.len(),
    }
}

/// Returns the report of a map whose number of entries changes. Each layout is an entry of LAYOUTS.
fn map(row: &MapRow) -> Option<MapReport> {
    if row.name == "LAYOUTS" {
        return None;
    }
    Some(MapReport::new(row.name, row.entries?, row.capacity?.into(), None))
}
