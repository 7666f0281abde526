//! Capabilities: the agent keeps what its work needs and gives up the rest before it reads a single object.

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError};

/// What loading, attaching and programming need; without them nothing works.
const REQUIRED: [Capability; 3] = [Capability::CAP_BPF, Capability::CAP_NET_ADMIN, Capability::CAP_SYS_ADMIN];

/// What is kept besides, where it is there: the verifier's full view of pointers; the network namespaces of
/// other processes (UDP termination); and a kubeconfig that belongs to the user behind `sudo`.
const USEFUL: [Capability; 3] = [Capability::CAP_PERFMON, Capability::CAP_SYS_PTRACE, Capability::CAP_DAC_READ_SEARCH];

/// Why capabilities can't be given up.
#[derive(Debug, thiserror::Error)]
#[error("drop capabilities: {0}")]
pub struct PrivilegesError(#[from] CapsError);

/// Whether the process has every capability that it needs.
pub fn sufficient() -> bool {
    REQUIRED.into_iter().all(|capability| caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false))
}

/// Gives up every capability of the calling thread, and of those that it starts, that the agent never uses. The
/// bounding set stays, so that credential plugins of a kubeconfig run as they would from a shell.
pub fn drop_unneeded() -> Result<(), PrivilegesError> {
    let permitted = caps::read(None, CapSet::Permitted)?;
    let wanted: CapsHashSet = REQUIRED.into_iter().chain(USEFUL).collect();
    let kept: CapsHashSet = permitted.intersection(&wanted).copied().collect();
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    Ok(())
}
