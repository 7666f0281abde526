//! Loosens the kernel's reverse-path check of incoming packets where needed (`rp_filter` in
//! Documentation/networking/ip-sysctl.rst; IPv4 only). The check sees packets for a backend on this node after translation.
//! If policy routing sends the backend's replies out of another device than the client's, a strict check drops the client's
//! packets as spoofed. Network plugins that add such rules loosen the check where they expect node ports (the AWS VPC CNI
//! does), and so does the agent.

use std::{collections::BTreeSet, fs, io, path::PathBuf};

use ipnet::IpNet;
use tracing::{info, warn};

use crate::{logging::errors::Report, objects::LocalAddresses};

/// Values of the setting. The kernel uses the greater of the device's own value and that of `all`.
const STRICT: u8 = 1;
const LOOSE: u8 = 2;

/// Watches the check on the node's uplinks.
#[derive(Debug)]
pub(super) struct ReversePath {
    /// The folder of the node's `/proc/sys`.
    settings: PathBuf,
    /// Devices whose strict check could not be loosened; that has been logged.
    logged: BTreeSet<String>,
}

impl ReversePath {
    pub(super) fn new(settings: PathBuf) -> Self {
        Self { settings, logged: BTreeSet::new() }
    }

    /// Loosens the strict checks of uplinks if a backend on this node is in the source prefix of a routing rule.
    pub(super) fn check(&mut self, local: &LocalAddresses, is_backend_in: impl Fn(IpNet) -> bool) {
        let sources = local.rule_sources.iter().filter(|net| net.addr().is_ipv4());
        let found: Vec<String> = sources.filter(|net| is_backend_in(**net)).map(ToString::to_string).collect();
        if found.is_empty() {
            return;
        }
        let strict: Vec<_> = local.uplinks.iter().filter(|device| self.is_strict(device)).collect();
        for device in strict {
            let rules = found.join(", ");
            match fs::write(self.path(device), LOOSE.to_string()) {
                Ok(()) => info!(
                    device,
                    rules,
                    "set the device's rp_filter to {LOOSE} (loose): policy routing sends the replies of some backends out of \
                     another device, and a strict check drops the packets of their clients"
                ),
                Err(error) if self.logged.insert(device.clone()) => warn!(
                    rules,
                    error = %Report(&error),
                    "policy routing sends the replies of some backends out of another device, and the kernel's strict \
                     reverse-path check drops the packets of their clients: run \
                     `sysctl -w net.ipv4.conf.{device}.rp_filter={LOOSE}`"
                ),
                Err(_) => {}
            }
        }
    }

    fn is_strict(&self, device: &str) -> bool {
        self.read("all").unwrap_or(0).max(self.read(device).unwrap_or(0)) == STRICT
    }

    fn read(&self, device: &str) -> io::Result<u8> {
        fs::read_to_string(self.path(device))?.trim().parse().map_err(io::Error::other)
    }

    fn path(&self, device: &str) -> PathBuf {
        self.settings.join(format!("net/ipv4/conf/{device}/rp_filter"))
    }
}
