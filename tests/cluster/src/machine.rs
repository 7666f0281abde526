//! What the machine must have, and what to do where it has not.

use anyhow::{Result, bail};

use crate::programs::{is_installed, missing_go};

/// Programs that are started or packed, and Debian's packages of them.
const PROGRAMS: [(&str, &str); 9] = [
    ("etcd", "etcd-server"),
    ("containerd", "containerd"),
    ("runc", "runc"),
    ("umoci", "umoci"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("nft", "nftables"),
    ("strip", "binutils"),
    ("busybox", "busybox-static"),
];

/// Says all that is missing at once.
pub fn check() -> Result<()> {
    let mut missing: Vec<_> = PROGRAMS
        .iter()
        .filter(|(program, _)| !is_installed(program))
        .map(|(program, package)| format!("{program}: `apt-get install {package}`"))
        .collect();
    if !std::path::Path::new("/usr/lib/cni/bridge").exists() {
        missing.push("CNI's plugins: `apt-get install containernetworking-plugins`".to_owned());
    }
    missing.extend(missing_go());
    if missing.is_empty() {
        return Ok(());
    }
    bail!("this machine lacks what a cluster needs:\n  {}", missing.join("\n  "))
}
