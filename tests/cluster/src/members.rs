//! The members of the running cluster, as `up` has recorded them for the other commands.

use std::{fmt, fs, io};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::{
    device_mode::DeviceMode,
    families::{Families, Host},
    folders,
    proxy::Proxy,
};

/// A cluster's members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Members {
    /// Number of nodes.
    pub nodes: u8,
    /// The proxy that serves Services.
    pub proxy: Proxy,
    /// IP families.
    pub families: Families,
    /// How Waggle serves the uplinks.
    pub device_mode: DeviceMode,
}

impl Members {
    /// The members of the running cluster.
    pub fn read() -> Result<Self> {
        let path = folders::state("members.json");
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                bail!("no cluster runs here: `cargo xtask cluster up` starts one")
            }
            text => text.with_context(|| format!("read {}", path.display()))?,
        };
        Self::from_json(&text).with_context(|| format!("{} is not what `up` has written", path.display()))
    }

    fn from_json(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)?;
        let word = |name: &str| value[name].as_str().with_context(|| format!("{name} is missing"));
        Ok(Self {
            nodes: value["nodes"].as_u64().and_then(|nodes| nodes.try_into().ok()).context("nodes is no number")?,
            proxy: Proxy::from_str(word("proxy")?, false).map_err(anyhow::Error::msg)?,
            families: Families::from_str(word("families")?, false).map_err(anyhow::Error::msg)?,
            device_mode: DeviceMode::from_str(word("deviceMode")?, false).map_err(anyhow::Error::msg)?,
        })
    }

    fn to_json(self) -> String {
        let (proxy, families) = (name(&self.proxy), name(&self.families));
        let device_mode = name(&self.device_mode);
        json!({ "nodes": self.nodes, "proxy": proxy, "families": families, "deviceMode": device_mode }).to_string()
    }

    /// Records the members.
    pub fn write(self) -> Result<()> {
        let path = folders::state("members.json");
        fs::write(&path, self.to_json()).with_context(|| format!("write {}", path.display()))
    }

    /// The control plane and every node.
    pub fn hosts(self) -> impl Iterator<Item = Host> {
        std::iter::once(Host::Control).chain(self.numbers().map(Host::Node))
    }

    /// The nodes' numbers.
    pub fn numbers(self) -> std::ops::RangeInclusive<u8> {
        1..=self.nodes
    }
}

impl fmt::Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (families, proxy) = (name(&self.families).unwrap_or_default(), name(&self.proxy).unwrap_or_default());
        write!(f, "{} nodes, families: {families}, Services served by: {proxy}", self.nodes)
    }
}

/// A value as it is written on the command line.
fn name(value: &impl ValueEnum) -> Option<String> {
    value.to_possible_value().map(|value| value.get_name().to_owned())
}

impl Host {
    /// The machine's name: for a node also Kubernetes' name.
    pub fn name(self) -> String {
        match self {
            Self::Control => "control".to_owned(),
            Self::Node(number) => format!("node-{number}"),
        }
    }

    /// The machine with this name.
    pub fn from_name(members: Members, name: &str) -> Result<Self> {
        members.hosts().find(|host| host.name() == name).with_context(|| {
            let names: Vec<_> = members.hosts().map(Self::name).collect();
            format!("the cluster has no `{name}`, but {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read_again() {
        let (proxy, families, device_mode) = (Proxy::Kubernetes, Families::Ipv6, DeviceMode::Tc);
        let members = Members { nodes: 3, proxy, families, device_mode };
        assert_eq!(Members::from_json(&members.to_json()).unwrap(), members);
    }
}
