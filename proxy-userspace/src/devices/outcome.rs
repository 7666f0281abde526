//! The outcome of serving a device, and its log line.

use tracing::{error, info, warn};

use super::select::{Role, Target};

/// How a device is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As wanted.
    Served(&'static str),
    /// By TC, because what native XDP sends from it may be lost for this reason.
    Unreliable(String),
    /// By TC, because native XDP was refused for this reason.
    FellBack(String),
    /// By native XDP, because the command line asks for it, although what it sends is lost for this reason.
    Lossy(String),
    /// Not at all, for this reason.
    Failed(String),
}

impl Outcome {
    /// Whether the outcome stays until the device itself changes.
    pub(super) fn is_settled(&self) -> bool {
        !matches!(self, Self::Failed(_) | Self::Lossy(_))
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
            // Bridges and tunnels have no native XDP in any kernel, so there is nothing to correct.
            Self::FellBack(reason) if !matches!(target.link.kind.as_str(), "" | "bond") => info!(
                device,
                index,
                mode = "tc",
                reason,
                "device served by TC, as native XDP is refused: few software devices support it"
            ),
            Self::FellBack(reason) => warn!(
                device,
                index,
                mode = "tc",
                reason,
                "device served by TC, as native XDP is refused: everything works, but packets cost more processor time"
            ),
            Self::Lossy(reason) => {
                warn!(device, index, mode = "xdp", reason, "device served by native XDP, but what it sends is lost");
            }
            Self::Failed(reason) => error!(device, index, reason, "device not served: trying again"),
        }
    }
}
