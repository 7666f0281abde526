//! The hooks that packets are captured at, and what their programs' actions mean.

use crate::attach::device::Hook;

/// A hook of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// XDP, native or generic.
    Xdp,
    /// TC, from the device to the stack.
    Ingress,
    /// TC, from the stack to the device.
    Egress,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes on: up the stack, or out of the device at egress.
    Goes,
    /// It is sent back out of the device that it came in on.
    SentBack,
    /// It is sent out of another device, or into its ingress.
    Redirected,
    /// It ends here.
    Ends,
}

impl Stage {
    /// Returns the hook of a pin's prefix.
    pub(super) fn of(word: &str) -> Option<Self> {
        Some(match Hook::ALL.into_iter().find(|hook| hook.word() == word)? {
            Hook::XdpNative | Hook::XdpGeneric => Self::Xdp,
            Hook::TcxIngress | Hook::ClsactIngress => Self::Ingress,
            Hook::TcxEgress | Hook::ClsactEgress => Self::Egress,
        })
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Xdp => "xdp",
            Self::Ingress => "tc ingress",
            Self::Egress => "tc egress",
        }
    }

    /// Returns what an action of a program at this hook means.
    pub(super) const fn fate(self, action: i32) -> Fate {
        match (self, action) {
            // XDP_PASS; TC_ACT_UNSPEC and TC_ACT_OK.
            (Self::Xdp, 2) | (Self::Ingress | Self::Egress, -1 | 0) => Fate::Goes,
            // XDP_TX.
            (Self::Xdp, 3) => Fate::SentBack,
            // XDP_REDIRECT; TC_ACT_REDIRECT.
            (Self::Xdp, 4) | (Self::Ingress | Self::Egress, 7) => Fate::Redirected,
            _ => Fate::Ends,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hook_has_a_stage() {
        for hook in Hook::ALL {
            let stage = Stage::of(hook.word()).unwrap();
            assert_eq!(stage == Stage::Xdp, hook.is_xdp());
        }
        assert_eq!(Stage::of("connect4"), None);
    }

    #[test]
    fn actions_mean_what_the_kernel_does() {
        assert_eq!(Stage::Xdp.fate(1), Fate::Ends);
        assert_eq!(Stage::Xdp.fate(3), Fate::SentBack);
        assert_eq!(Stage::Ingress.fate(2), Fate::Ends);
        assert_eq!(Stage::Egress.fate(7), Fate::Redirected);
        assert_eq!((Stage::Xdp.fate(2), Stage::Ingress.fate(-1)), (Fate::Goes, Fate::Goes));
    }
}
