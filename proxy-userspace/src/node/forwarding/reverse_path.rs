//! The kernel's check of the reverse path of what comes in (`rp_filter` in Documentation/networking/ip-sysctl.rst; IPv4 only).
//! What is for a backend on this node has been translated when it is checked. Where a rule of policy routing sends the backend's
//! replies out of another device than the client is behind, a strict check takes the client's packets for forged. Network
//! plugins that make such rules loosen the check themselves where they expect node ports (the AWS VPC CNI does); so does this.

use std::{collections::BTreeSet, fs, io, path::PathBuf};

use ipnet::IpNet;
use tracing::{info, warn};

use crate::objects::LocalAddresses;

/// Values of the setting; the kernel takes the greater one of a device's own and that of all.
const STRICT: u8 = 1;
const LOOSE: u8 = 2;

/// Looks after the check on the node's uplinks.
#[derive(Debug, Default)]
pub(super) struct ReversePath {
    /// Devices of which has been said that they keep a strict check.
    told: BTreeSet<String>,
}

impl ReversePath {
    /// Loosens the check of uplinks where it is strict and some backend on this node is in a source that a rule names.
    pub(super) fn look(&mut self, local: &LocalAddresses, is_backend_in: impl Fn(IpNet) -> bool) {
        let sources = local.ruled_sources.iter().filter(|net| net.addr().is_ipv4());
        let found: Vec<String> = sources.filter(|net| is_backend_in(**net)).map(ToString::to_string).collect();
        if found.is_empty() {
            return;
        }
        for device in local.uplinks.iter().filter(|device| is_strict(device)) {
            let rules = found.join(", ");
            match fs::write(path(device), LOOSE.to_string()) {
                Ok(()) => info!(
                    device,
                    rules,
                    "the device's net.ipv4.conf setting rp_filter is {LOOSE} now: a strict check drops what clients behind this device \
                     send to backends whose answers rules of policy routing send elsewhere"
                ),
                Err(error) if self.told.insert(device.clone()) => warn!(
                    rules,
                    %error,
                    "backends whose answers rules of policy routing send elsewhere can't be reached from behind an uplink, as the \
                     kernel checks the reverse path strictly: set `sysctl -w net.ipv4.conf.{device}.rp_filter={LOOSE}`"
                ),
                Err(_) => {}
            }
        }
    }
}

fn is_strict(device: &str) -> bool {
    read("all").unwrap_or(0).max(read(device).unwrap_or(0)) == STRICT
}

fn read(device: &str) -> io::Result<u8> {
    fs::read_to_string(path(device))?.trim().parse().map_err(io::Error::other)
}

fn path(device: &str) -> PathBuf {
    format!("/proc/sys/net/ipv4/conf/{device}/rp_filter").into()
}
