//! `waggle cleanup --kube-proxy`: removes what kube-proxy has left on the node, in any of its modes. All is read and planned
//! before anything is removed; each removal is a transaction of its own, and a second run removes what a failed one has left.
//! It knows nothing of Waggle's own maps and hooks.

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

use std::{fmt, io, path::Path};

use self::plan::Plan;
pub use self::report::Report;
use crate::succession::import::ImportError;

/// Takes an answer about devices, and the attributes of one about sets: for fuzz targets.
#[cfg(any(test, fuzzing))]
pub(crate) fn read(answer: &[u8], attributes: &[u8]) {
    device::read(answer);
    ipset::members(attributes);
}

/// A family of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// Its NFPROTO_….
    const fn number(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }
}

/// nft(8)'s word.
impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "ip",
            Self::V6 => "ip6",
        })
    }
}

/// Why something of kube-proxy is still there.
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
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel did not say what there is.
    #[error("read {what} (run waggle as root)")]
    Read {
        /// What was read.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// Connections can't be listed.
    #[error(transparent)]
    Connections(#[from] ImportError),
    /// A table has more than iptables understands.
    #[error(
        "remove kube-proxy's chains of the nftables table {family} {table}: {program} can't read the table, since other rules \
         are in it (`nft list table {family} {table}` shows them)"
    )]
    Unreadable {
        /// The table.
        table: String,
        /// The family.
        family: Family,
        /// The program.
        program: &'static str,
    },
    /// A program is missing that alone can remove something.
    #[error("remove {what}: this needs the program {name} (install the package {package})")]
    Missing {
        /// The program.
        name: &'static str,
        /// Its package.
        package: &'static str,
        /// What is to be removed.
        what: String,
    },
    /// A program can't be started.
    #[error("start {name}")]
    Start {
        /// The program.
        name: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A program has failed.
    #[error("remove {what}: {name} says: {said}")]
    Program {
        /// The program.
        name: &'static str,
        /// What it was to remove.
        what: String,
        /// What it said.
        said: String,
    },
    /// The kernel has refused to remove something.
    #[error("remove {what} (run waggle as root)")]
    Remove {
        /// What is still there.
        what: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel has refused the table that keeps connections alive.
    #[error("add the nftables table {family} {} (run waggle as root)", nftables::KEEPER)]
    Keep {
        /// The table's family.
        family: Family,
        /// What the kernel said.
        source: io::Error,
    },
}

/// How to clean up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner<'a> {
    /// Although kube-proxy runs, and although IPVS carries connections.
    pub force: bool,
    /// Only says what would be done.
    pub is_dry: bool,
    /// The folder that has the node's programs and processes, if it is not `/`.
    pub root: Option<&'a Path>,
}

/// Removes what kube-proxy has left, and says what that was. Without anything left it does nothing. With another root, the
/// process has that root afterwards.
pub fn cleanup(manner: Manner<'_>) -> Result<Report, KubeProxyError> {
    if let Some(path) = manner.root {
        let enter = || std::os::unix::fs::chroot(path).and_then(|()| std::env::set_current_dir("/"));
        enter().map_err(|source| KubeProxyError::Root { path: path.display().to_string(), source })?;
    }
    match running::find(Path::new("/proc")).map_err(KubeProxyError::Processes)? {
        // A dry run changes nothing that kube-proxy could put back.
        Some(process) if !manner.force && !manner.is_dry => return Err(KubeProxyError::Running(process)),
        _ => {}
    }
    let plan = Plan::read(manner.force)?;
    if !manner.is_dry {
        plan.carry_out()?;
    }
    Ok(plan.report(manner.is_dry))
}
