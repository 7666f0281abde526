//! `waggle cleanup --kube-proxy`: removes what kube-proxy left on the node, in any of its modes. Everything is read and planned
//! before anything is removed. Each removal is a transaction of its own; after a failure, another run removes the rest. Knows
//! nothing of Waggle's own maps and hooks.

mod counters;
mod device;
mod ipset;
mod iptables;
mod ipvs;
mod names;
mod nftables;
mod plan;
mod program;
mod report;
mod running;

use std::{io, path::Path};

use self::plan::CleanupPlan;
pub use self::report::CleanupReport;
use crate::{desired::Family, succession::import::ImportError};

/// Reads a response about devices, and the attributes of one about ipsets: for fuzz targets.
#[cfg(any(test, fuzzing))]
pub(crate) fn read(answer: &[u8], attributes: &[u8]) {
    device::read(answer);
    ipset::members(attributes);
}

/// A family's NFPROTO_….
const fn nf_proto(family: Family) -> u8 {
    match family {
        Family::Ipv4 => 2,
        Family::Ipv6 => 10,
    }
}

/// nft(8)'s word for a family.
const fn nft_word(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "ip",
        Family::Ipv6 => "ip6",
    }
}

/// Why something of kube-proxy could not be removed.
#[derive(Debug, thiserror::Error)]
pub enum KubeProxyError {
    /// kube-proxy runs.
    #[error(
        "remove what kube-proxy has left: it is running (process {0}) and would put everything back; stop it first, or use \
         --force"
    )]
    Running(u32),
    /// The processes can't be listed.
    #[error("look for kube-proxy among the processes in /proc")]
    Processes(#[source] io::Error),
    /// The root folder can't be entered.
    #[error("use {path} as root (run waggle as root)")]
    Root {
        /// The folder.
        path: String,
        /// The kernel's error.
        source: io::Error,
    },
    /// The kernel's state can't be read.
    #[error("read {what} (run waggle as root)")]
    Read {
        /// What was read.
        what: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
    /// Connections can't be listed.
    #[error(transparent)]
    Connections(#[from] ImportError),
    /// A table has rules that iptables does not understand.
    #[error(
        "remove kube-proxy's chains of the nftables table {family} {table}: {program} can't read the table, since it has rules \
         of other programs (`nft list table {family} {table}` shows them)",
        family = nft_word(*.family)
    )]
    Unreadable {
        /// The table.
        table: String,
        /// The family.
        family: Family,
        /// The program.
        program: &'static str,
    },
    /// A program that is needed to remove something is missing.
    #[error("remove {what}: this needs the program {name} (install the package {package})")]
    Missing {
        /// The program.
        name: &'static str,
        /// The package that has the program.
        package: &'static str,
        /// What should be removed.
        what: String,
    },
    /// A program can't be started.
    #[error("start {name}")]
    Start {
        /// The program.
        name: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
    /// A program has failed.
    #[error("remove {what}: {name} says: {message}")]
    Program {
        /// The program.
        name: &'static str,
        /// What it should remove.
        what: String,
        /// What it wrote to standard error.
        message: String,
    },
    /// The kernel refused to remove something.
    #[error("remove {what} (run waggle as root)")]
    Remove {
        /// What could not be removed.
        what: String,
        /// The kernel's error.
        source: io::Error,
    },
    /// The kernel refused the table that keeps connections alive.
    #[error("add the nftables table {family} {} (run waggle as root)", nftables::KEEPER, family = nft_word(*.family))]
    Keep {
        /// The table's family.
        family: Family,
        /// The kernel's error.
        source: io::Error,
    },
}

/// The options of the cleanup.
#[derive(Clone, Copy, Debug, Default)]
pub struct CleanupOptions<'a> {
    /// Clean up although kube-proxy runs, and although IPVS carries connections.
    pub force: bool,
    /// Only report what would be done.
    pub is_dry: bool,
    /// The folder that has the node's programs and processes, if it is not `/`.
    pub root: Option<&'a Path>,
}

/// What of kube-proxy is on the node.
#[derive(Clone, Debug)]
pub(in crate::commands) struct Presence {
    /// The process id of a kube-proxy that runs.
    pub(in crate::commands) process: Option<u32>,
    /// What a cleanup would do.
    pub(in crate::commands) leftovers: CleanupReport,
}

/// Looks for kube-proxy and for what it left in this network namespace. Removes nothing.
pub(in crate::commands) fn look() -> Result<Presence, KubeProxyError> {
    let process = running::find(Path::new("/proc")).map_err(KubeProxyError::Processes)?;
    Ok(Presence { process, leftovers: CleanupPlan::read(false)?.report(true) })
}

/// Removes what kube-proxy left, and reports what that was. Fails if kube-proxy runs, unless forced, or if something can't be read
/// or removed. If [`CleanupOptions::root`] is given, it is the root of this process afterwards.
pub fn cleanup(options: CleanupOptions<'_>) -> Result<CleanupReport, KubeProxyError> {
    if let Some(path) = options.root {
        let enter = || std::os::unix::fs::chroot(path).and_then(|()| std::env::set_current_dir("/"));
        enter().map_err(|source| KubeProxyError::Root { path: path.display().to_string(), source })?;
    }
    match running::find(Path::new("/proc")).map_err(KubeProxyError::Processes)? {
        // A dry run changes nothing that kube-proxy could put back.
        Some(process) if !options.force && !options.is_dry => return Err(KubeProxyError::Running(process)),
        _ => {}
    }
    let plan = CleanupPlan::read(options.force)?;
    if !options.is_dry {
        plan.carry_out()?;
    }
    Ok(plan.report(options.is_dry))
}
