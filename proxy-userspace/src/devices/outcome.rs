//! What became of serving a device, and how the log says it.

use tracing::{error, info, warn};

use super::select::{Role, Target};

/// How a device is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As wanted.
    Served(&'static str),
    /// By TC, as what native XDP sends from it may be lost for this reason.
    Doubted(String),
    /// By TC, as native XDP was refused for this reason.
    FellBack(String),
    /// By native XDP, since the command line says so, although what that sends is lost for this reason.
    Lossy(String),
    /// Not at all, for this reason.
    Failed(String),
}

impl Outcome {
    /// Whether only a change of the device itself can change it.
    pub(super) fn is_settled(&self) -> bool {
        !matches!(self, Self::Failed(_) | Self::Lossy(_))
    }

    /// One line for each device, when there is news.
    pub(super) fn report(&self, target: &Target) {
        let (device, index) = (&target.link.name, target.link.index);
        match self {
            Self::Served(mode) => {
                let (pod, sctp) = (target.role != Role::Outside, target.role == Role::Sctp);
                info!(device, index, mode, pod, only_sctp = sctp, "device served");
            }
            Self::Doubted(reason) => info!(
                device,
                index,
                mode = "tc",
                reason,
                "device served by TC, which always works: native XDP is left to --device-mode xdp"
            ),
            // A bridge or a tunnel has none in any kernel: nobody can do anything about it.
            Self::FellBack(reason) if !matches!(target.link.kind.as_str(), "" | "bond") => info!(
                device,
                index,
                mode = "tc",
                reason,
                "device served by TC, as native XDP is refused: few devices made of software have it"
            ),
            Self::FellBack(reason) => warn!(
                device,
                index,
                mode = "tc",
                reason,
                "device served by TC, as native XDP is refused: everything works, at more processor time a packet"
            ),
            Self::Lossy(reason) => {
                warn!(device, index, mode = "xdp", reason, "device served by native XDP, but what that sends is lost");
            }
            Self::Failed(reason) => error!(device, index, reason, "device not served: trying again"),
        }
    }
}
