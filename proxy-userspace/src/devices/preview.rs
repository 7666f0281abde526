//! Says which devices an agent would serve and how, without serving them. It decides as `select.rs` and `unreliable_xdp.rs` do for
//! an agent, and asks drivers for their XDP instead of trying it.

use std::collections::BTreeSet;

use super::{
    DevicesError,
    select::{Role, Target, select},
    unreliable_xdp::loss,
};
use crate::{
    attach::{Mode, device::Hook},
    config::devices::{DeviceConfig, DeviceMode},
    node::{
        netdev::{NetdevFamily, XdpFeatures},
        rtnetlink::{Snapshot, Watcher},
    },
};

/// A device that would be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevicePreview {
    /// The device's index.
    pub index: u32,
    /// The device's name.
    pub name: String,
    /// The kind of software device, or the bus of the hardware; empty if the kernel does not say.
    pub kind: String,
    /// The driver's XDP features in the kernel's words; `None` if the kernel can't say: before Linux 6.3.
    pub features: Option<Vec<&'static str>>,
    /// How the device would be served; `None` if not at all.
    pub mode: Option<Mode>,
    /// Why.
    pub why: String,
    /// What would be lost, and what to do.
    pub loss: Option<String>,
}

/// The devices of this network namespace, as far as the configuration selects them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DevicesPreview {
    /// Those that would be served.
    pub devices: Vec<DevicePreview>,
    /// Names of selected devices that carry neither Ethernet frames nor bare IP packets.
    pub unsuited: BTreeSet<String>,
    /// Names in `--devices` that no device has.
    pub missing: BTreeSet<String>,
    /// Whether rules of policy routing look at sources.
    pub has_source_rules: bool,
}

/// Looks at the devices of the calling thread's network namespace.
pub async fn preview(config: &DeviceConfig) -> Result<DevicesPreview, DevicesError> {
    let snapshot = Watcher::start()?.snapshot().await?;
    let mut family = NetdevFamily::open().ok();
    let features = |index| family.as_mut().and_then(|family| family.features(index).ok());
    Ok(of_snapshot(config, &snapshot, features, loss_of))
}

fn loss_of(target: &Target) -> Option<String> {
    loss(&target.link)
}

fn of_snapshot(
    config: &DeviceConfig,
    snapshot: &Snapshot,
    mut features: impl FnMut(u32) -> Option<XdpFeatures>,
    loss: impl Fn(&Target) -> Option<String>,
) -> DevicesPreview {
    let selection = select(config, snapshot, &BTreeSet::new(), false);
    let mut device = |target: &Target| {
        let link = &target.link;
        let features = features(link.index);
        let (mode, why) = decide(target, config.mode, features);
        DevicePreview {
            index: link.index,
            name: link.name.clone(),
            kind: if link.kind.is_empty() { link.bus.clone() } else { link.kind.clone() },
            features: features.map(XdpFeatures::words),
            mode,
            why,
            loss: if mode == Some(Mode::Xdp) { loss(target) } else { None },
        }
    };
    DevicesPreview {
        devices: selection.devices.values().map(&mut device).collect(),
        unsuited: selection.unsuited,
        missing: selection.missing,
        has_source_rules: snapshot.rules.iter().any(|rule| rule.source.is_some()),
    }
}

/// Returns how a device would be served, and why. XDP programs of others are not considered.
fn decide(target: &Target, mode: DeviceMode, features: Option<XdpFeatures>) -> (Option<Mode>, String) {
    let is_asked_for = mode != DeviceMode::Auto;
    let has_none = features.is_some_and(|features| !features.is_native());
    let (mode, why) = match target.xdp(mode) {
        Some(Hook::XdpNative) if has_none && is_asked_for => (None, "its driver has no native XDP (--device-mode)"),
        Some(Hook::XdpNative) if has_none => (Some(Mode::Tc), "its driver has no native XDP"),
        Some(Hook::XdpNative) if features.is_none() => {
            (Some(Mode::Xdp), "if its driver has native XDP, which this kernel can't say, else by TC")
        }
        Some(Hook::XdpNative) => (Some(Mode::Xdp), "its driver has native XDP"),
        Some(_) => (Some(Mode::XdpGeneric), "--device-mode"),
        None if target.link.bare => (Some(Mode::Tc), "it carries no Ethernet frames, which XDP needs"),
        None if target.role != Role::Outside => (Some(Mode::Tc), "it is the host end of a pod (--pod-interfaces)"),
        None => match &target.unreliable {
            Some(reason) if !is_asked_for => (Some(Mode::Tc), reason.as_str()),
            _ => (Some(Mode::Tc), "--device-mode"),
        },
    };
    (mode, why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::rtnetlink::{DefaultRoute, Link};

    fn link(index: u32, name: &str, kind: &str, bus: &str) -> Link {
        let (name, kind, bus) = (name.to_owned(), kind.to_owned(), bus.to_owned());
        Link { index, name, kind, bus, ethernet: true, up: true, ..Link::default() }
    }

    /// Four devices, all of which have default routes. The kernel says of the last one nothing.
    fn preview(mode: DeviceMode) -> Vec<(String, Option<Mode>, String)> {
        let links = vec![
            link(2, "eth0", "", "pci"),
            link(3, "br0", "bridge", ""),
            link(4, "veth0", "veth", ""),
            Link { bare: true, ethernet: false, ..link(5, "wg0", "wireguard", "") },
            link(6, "old0", "", "pci"),
        ];
        let route = |device| DefaultRoute { ipv6: false, metric: 0, device, gateway: None, source: None };
        let snapshot = Snapshot { links, routes: (2..=6).map(route).collect(), ..Snapshot::default() };
        let features = |index| match index {
            2 | 4 => Some(XdpFeatures(7)),
            6 => None,
            _ => Some(XdpFeatures(0)),
        };
        let config = DeviceConfig { mode, ..DeviceConfig::default() };
        let found = of_snapshot(&config, &snapshot, features, |_| None);
        found.devices.into_iter().map(|device| (device.name, device.mode, device.why)).collect()
    }

    #[test]
    fn w04_the_mode_is_the_agents_own_choice_with_its_reason() {
        let found = preview(DeviceMode::Auto);
        let of =
            |name: &str| found.iter().find(|(found, ..)| found == name).map(|(_, mode, why)| (*mode, &**why)).unwrap();
        assert_eq!(of("eth0"), (Some(Mode::Xdp), "its driver has native XDP"));
        assert_eq!(of("br0"), (Some(Mode::Tc), "its driver has no native XDP"));
        assert!(of("veth0").0 == Some(Mode::Tc) && of("veth0").1.starts_with("it is a veth"));
        assert_eq!(of("wg0"), (Some(Mode::Tc), "it carries no Ethernet frames, which XDP needs"));
        assert!(of("old0").0 == Some(Mode::Xdp) && of("old0").1.ends_with("else by TC"));
    }

    #[test]
    fn w04_what_is_asked_for_is_not_replaced() {
        let modes = |mode| preview(mode).into_iter().map(|(_, mode, _)| mode).collect::<Vec<_>>();
        let (xdp, tc) = (Some(Mode::Xdp), Some(Mode::Tc));
        assert_eq!(modes(DeviceMode::Xdp), [xdp, None, xdp, tc, xdp]);
        assert_eq!(modes(DeviceMode::Tc), [tc; 5]);
        assert_eq!(modes(DeviceMode::Off), []);
    }
}
