//! Capabilities: the agent keeps those that it needs, and drops the others before it reads the first object.

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError};

/// Required for loading and attaching programs and for writing maps.
const REQUIRED: [Capability; 3] = [Capability::CAP_BPF, Capability::CAP_NET_ADMIN, Capability::CAP_SYS_ADMIN];

/// Kept if present: CAP_PERFMON lets the verifier allow more uses of pointers, CAP_SYS_PTRACE opens the network
/// namespaces of other processes (UDP termination), CAP_DAC_READ_SEARCH reads a kubeconfig that belongs to the user
/// behind `sudo`.
const USEFUL: [Capability; 3] = [Capability::CAP_PERFMON, Capability::CAP_SYS_PTRACE, Capability::CAP_DAC_READ_SEARCH];

/// Why capabilities can't be dropped.
#[derive(Debug, thiserror::Error)]
#[error("drop capabilities")]
pub struct PrivilegesError(#[from] CapsError);

/// Whether the process has every required capability.
pub fn sufficient() -> bool {
    REQUIRED.into_iter().all(|capability| caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false))
}

/// Drops every capability that the agent never uses from the calling thread and the threads that it starts. The
/// bounding set stays, so that credential plugins of a kubeconfig run as they would from a shell.
pub fn drop_unneeded() -> Result<(), PrivilegesError> {
    let permitted = caps::read(None, CapSet::Permitted)?;
    let wanted: CapsHashSet = REQUIRED.into_iter().chain(USEFUL).collect();
    let kept: CapsHashSet = permitted.intersection(&wanted).copied().collect();
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    Ok(())
}
