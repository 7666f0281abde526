//! How Waggle serves the nodes' uplinks: by its own choice on veths, or by the flag `--device-mode`.

use anyhow::Result;
use clap::ValueEnum;
use lab::{Netns, Pass, send_complete};

use crate::{
    families::Host,
    folders::NAME,
    network::{BRIDGE, namespace},
};

/// The value of `waggle run --device-mode`. Each value has an overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DeviceMode {
    /// No flag: TC, as the uplinks are veths
    Auto,
    /// TC
    Tc,
    /// Native XDP, on links that support it
    Xdp,
}

impl DeviceMode {
    /// The overlay's folder.
    pub const fn overlay(self) -> &'static str {
        match self {
            Self::Auto => "cluster",
            Self::Tc => "cluster-tc",
            Self::Xdp => "cluster-xdp",
        }
    }

    /// The flag of the agents, if they need one.
    pub const fn flag(self) -> Option<&'static str> {
        match self {
            Self::Auto => None,
            Self::Tc => Some("--device-mode=tc"),
            Self::Xdp => Some("--device-mode=xdp"),
        }
    }

    /// Makes the nodes' links support native XDP, as users do where they choose it: a veth loses what native XDP sends unless
    /// the other end has an XDP program, too, and delivers packets whose checksums are still to be computed.
    pub fn prepare(self, mut hosts: impl Iterator<Item = Host>) -> Result<()> {
        if self != Self::Xdp {
            return Ok(());
        }
        let bridge = Netns::open(&namespace(BRIDGE))?;
        let pass = Pass::load(NAME)?;
        hosts.try_for_each(|host| {
            let name = host.name();
            send_complete(&Netns::open(&namespace(&name))?, "eth0")?;
            send_complete(&bridge, &name)?;
            pass.attach(&bridge, &name)
        })?;
        Ok(pass.unpin()?)
    }
}
