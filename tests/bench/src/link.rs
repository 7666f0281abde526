//! Ethernet addresses of devices.

use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// The Ethernet address of a device of the calling thread's namespace.
pub fn address(device: &str) -> Result<[u8; 6]> {
    let output = Command::new("ip").args(["-j", "link", "show", "dev", device]).output().context("run ip link")?;
    let links: Value = serde_json::from_slice(&output.stdout).context("read ip link")?;
    let text = links[0]["address"].as_str().with_context(|| format!("an address of {device}"))?;
    let bytes: Vec<u8> = text.split(':').filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    bytes.try_into().ok().with_context(|| format!("six bytes of an address of {device}"))
}
