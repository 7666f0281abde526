//! Which devices would be served, how and why, and which programs of others are on them.

use std::io;

use super::finding::Finding;
use crate::{
    attach::{
        Mode,
        occupants::{KnownPrograms, Occupant},
    },
    devices::preview::{DevicePreview, DevicesPreview},
    logging::errors::Report,
};

/// The programs of others on a device.
pub(super) struct Occupants {
    /// On the XDP hook.
    pub(super) xdp: io::Result<Option<Occupant>>,
    /// On the TC hooks.
    pub(super) tc: io::Result<Vec<Occupant>>,
}

impl Occupants {
    /// Looks at the device with this index.
    pub(super) fn read(programs: &KnownPrograms, device: u32) -> Self {
        Self { xdp: programs.xdp_on(device), tc: programs.tc_on(device) }
    }
}

/// Returns the findings about the devices. `occupants` looks at the programs of others on a device.
pub(super) fn findings(preview: &DevicesPreview, occupants: impl Fn(u32) -> Occupants) -> Vec<Finding> {
    let mut findings: Vec<_> =
        preview.devices.iter().flat_map(|device| of_device(device, &occupants(device.index))).collect();
    findings.extend(preview.unsuited.iter().map(|name| {
        let found = "it is not served: it carries neither Ethernet frames nor bare IP packets";
        Finding::warning(subject(name), found, "name other devices with --devices")
    }));
    findings.extend(preview.missing.iter().map(|name| {
        Finding::warning(
            subject(name),
            "it does not exist, and is served when it appears",
            "check the names in --devices",
        )
    }));
    if findings.is_empty() {
        let found = "no device would be served, so packets from outside reach no Service";
        findings.push(Finding::warning("devices", found, "name the node's uplinks with --devices"));
    }
    findings
}

fn subject(name: &str) -> String {
    format!("device {name}")
}

fn of_device(device: &DevicePreview, occupants: &Occupants) -> Vec<Finding> {
    let mut findings = vec![mode(device, occupants)];
    let subject = || subject(&device.name);
    match &occupants.tc {
        Ok(programs) if programs.is_empty() => {}
        Ok(programs) => findings.push(Finding::warning(
            subject(),
            format!("programs of others on TC hooks: {}", shown(programs)),
            "let them pass what they do not handle; those that run before Waggle's may take packets from it",
        )),
        Err(error) => findings.push(Finding::unseen(subject(), format!("programs of others ({})", Report(error)))),
    }
    findings
}

/// Says how a device would be served.
fn mode(device: &DevicePreview, occupants: &Occupants) -> Finding {
    let DevicePreview { name, kind, features, mode, why, loss, .. } = device;
    let kind = if kind.is_empty() { String::new() } else { format!("{kind}; ") };
    let features = match features {
        Some(features) if features.is_empty() => "no native XDP".to_owned(),
        Some(features) => format!("native XDP: {}", features.join(", ")),
        None => "native XDP: unknown".to_owned(),
    };
    let ability = format!("({kind}{features})");
    let subject = subject(name);
    match (mode, &occupants.xdp, loss) {
        (None, ..) => {
            Finding::warning(subject, format!("not served: {why} {ability}"), "use --device-mode auto, or tc")
        }
        (Some(Mode::Xdp | Mode::XdpGeneric), Ok(Some(other)), _) => Finding::warning(
            subject,
            format!("served by tc or not at all: {} is on its XDP hook {ability}", shown(std::slice::from_ref(other))),
            format!("stop the program that attached it, or detach it with `ip link set dev {name} xdp off`"),
        ),
        (Some(Mode::Xdp), _, Some(loss)) => {
            Finding::warning(subject, format!("served by xdp, but what it sends is lost {ability}"), loss.clone())
        }
        (Some(mode), ..) => Finding::ok(subject, format!("served by {mode}: {why} {ability}")),
    }
}

/// Returns programs in words: `12 (cil_from_netdev) on tcx_ingress`.
pub(super) fn shown(programs: &[Occupant]) -> String {
    let program = |Occupant { hook, id, name, .. }: &Occupant| {
        let name = if name.is_empty() { String::new() } else { format!(" ({name})") };
        format!("{id}{name} on {hook}")
    };
    programs.iter().map(program).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::check::finding::Level;

    fn device(mode: Option<Mode>) -> DevicePreview {
        DevicePreview {
            index: 2,
            name: "eth0".to_owned(),
            kind: "virtio".to_owned(),
            features: Some(vec!["basic", "redirect"]),
            mode,
            why: "its driver has native XDP".to_owned(),
            loss: None,
        }
    }

    fn occupant(hook: &'static str, name: &str) -> Occupant {
        Occupant { hook, id: 12, name: name.to_owned(), is_exclusive: true }
    }

    fn free() -> Occupants {
        Occupants { xdp: Ok(None), tc: Ok(Vec::new()) }
    }

    #[test]
    fn a_device_says_its_mode_and_what_its_driver_can_do() {
        let [found] = &of_device(&device(Some(Mode::Xdp)), &free())[..] else { panic!("one line") };
        let wanted = "served by xdp: its driver has native XDP (virtio; native XDP: basic, redirect)";
        assert_eq!(*found, Finding::ok("device eth0", wanted));
        assert_eq!(of_device(&device(None), &free())[0].level, Level::Warning);
        let lossy = DevicePreview { loss: Some("put a program there".to_owned()), ..device(Some(Mode::Xdp)) };
        assert_eq!(of_device(&lossy, &free())[0].advice.as_deref(), Some("put a program there"));
    }

    #[test]
    fn programs_of_others_are_named() {
        let xdp = Occupants { xdp: Ok(Some(occupant("xdp", "foreign"))), ..free() };
        let [found] = &of_device(&device(Some(Mode::Xdp)), &xdp)[..] else { panic!("one line") };
        assert!(found.level == Level::Warning && found.found.contains("12 (foreign) on xdp is on"), "{found:?}");
        assert_eq!(of_device(&device(Some(Mode::Tc)), &xdp)[0].level, Level::Ok, "TC does not mind");
        let tc = Occupants { tc: Ok(vec![occupant("tcx_ingress", ""), occupant("clsact_egress", "x")]), ..free() };
        let found = &of_device(&device(Some(Mode::Tc)), &tc)[1];
        assert_eq!(found.found, "programs of others on TC hooks: 12 on tcx_ingress, 12 (x) on clsact_egress");
        let hidden = Occupants { tc: Err(io::Error::from_raw_os_error(libc::EPERM)), ..free() };
        assert!(of_device(&device(Some(Mode::Tc)), &hidden)[1].found.starts_with("not seen: programs of others"));
    }

    #[test]
    fn without_a_device_packets_from_outside_are_lost() {
        let none = findings(&DevicesPreview::default(), |_| free());
        assert_eq!((none.len(), none[0].level), (1, Level::Warning));
        let names = ["eth9".to_owned()];
        let absent =
            DevicesPreview { missing: names.clone().into(), unsuited: names.into(), ..DevicesPreview::default() };
        assert_eq!(findings(&absent, |_| free()).len(), 2);
    }
}
