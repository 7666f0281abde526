//! The outcome of serving a device, its flags in the map DEVICES, and its log line.

use proxy_common::Device;
use tracing::{debug, error, info, warn};

use super::select::{Role, Target};
use crate::config::devices::DeviceMode;

/// How a device is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DeviceOutcome {
    /// Served as wanted, in this mode.
    Served(&'static str),
    /// Served by TC, because native XDP is not reliable on the device, for this reason.
    Unreliable(String),
    /// Served by TC, because native XDP was refused, for this reason.
    FellBack(String),
    /// Served by native XDP, because the configuration asks for it, although what it sends is lost, for this reason.
    Lossy(String),
    /// Not served, for this reason.
    Failed(String),
    /// The device was removed while it was being served, as those of pods may be at any time.
    Gone,
}

impl DeviceOutcome {
    /// Whether the outcome stays until the device itself changes.
    pub(super) fn is_settled(&self) -> bool {
        !matches!(self, Self::Failed(_) | Self::Lossy(_) | Self::Gone)
    }

    /// Returns the flags of the device in DEVICES, which the programs and `waggle get devices` read.
    pub(super) fn flags(&self, target: &Target, mode: DeviceMode) -> u32 {
        let role = target.role.flags();
        if target.link.bare {
            return role | Device::BARE;
        }
        let chosen = if role == 0 && mode != DeviceMode::Auto { Device::MODE_IS_CHOSEN } else { 0 };
        let reason = match self {
            Self::Served("xdp") => Device::REDIRECT,
            Self::Lossy(_) => Device::REDIRECT | Device::LOSSY,
            Self::Unreliable(_) => Device::UNSURE,
            Self::FellBack(_) => Device::FELL_BACK,
            Self::Served(_) | Self::Failed(_) | Self::Gone => 0,
        };
        role | chosen | reason
    }

    /// Logs one line for the device.
    pub(super) fn report(&self, target: &Target) {
        let (device, index) = (&target.link.name, target.link.index);
        match self {
            Self::Served(mode) => {
                let (pod, sctp) = (target.role != Role::Outside, target.role == Role::Sctp);
                info!(device, index, mode, pod, only_sctp = sctp, "device served");
            }
            Self::Unreliable(reason) => info!(
                device,
                index,
                mode = "tc",
                reason,
                "device served by TC: native XDP is not reliable on it, and only used with --device-mode xdp"
            ),
            // No kernel has native XDP for bridges and tunnels, so there is nothing to correct.
            Self::FellBack(reason) if !matches!(target.link.kind.as_str(), "" | "bond") => info!(
                device,
                index,
                mode = "tc",
                reason,
                "device served by TC, because native XDP is refused: few software devices support it"
            ),
            Self::FellBack(reason) => warn!(
                device,
                index,
                mode = "tc",
                reason,
                "device served by TC, because native XDP is refused: everything works, but packets cost more CPU time"
            ),
            Self::Lossy(reason) => {
                warn!(device, index, mode = "xdp", reason, "device served by native XDP, but what it sends is lost");
            }
            Self::Failed(reason) => error!(device, index, reason, "device not served: trying again"),
            Self::Gone => debug!(device, index, "device was removed while it was being served"),
        }
    }
}
