//! The capabilities that the agent needs, and what for (capabilities(7); measured in `tests/tests/scenarios/privileges/`). The
//! agent drops all others before it reads the first object. Capabilities that only single steps need are kept out of the
//! effective set until then.

use std::fmt;

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError};
use nix::{errno::Errno, sys::prctl::set_no_new_privs};
use tracing::warn;

/// A capability, and what the agent can't do without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    capability: Capability,
    purpose: &'static str,
}

const fn need(capability: Capability, purpose: &'static str) -> Need {
    Need { capability, purpose }
}

/// Needed all the time: devices come and go, and so do the programs for them.
const ALWAYS: [Need; 3] = [
    need(Capability::CAP_BPF, "create maps and load programs"),
    need(Capability::CAP_NET_ADMIN, "load programs for sockets and devices, attach them, and destroy sockets"),
    need(Capability::CAP_PERFMON, "load programs with helpers that the kernel reserves for it"),
];

/// Needed to destroy UDP sockets (S29), by that thread alone.
const TERMINATION: [Need; 2] = [
    need(Capability::CAP_SYS_ADMIN, "enter the network namespaces of pods"),
    need(Capability::CAP_SYS_PTRACE, "find the network namespaces of other processes"),
];

/// Kept if present, outside the effective set: opens the programs of an earlier start by their ids, to hand packets of flows over
/// to them. Kept even if no UDP sockets are destroyed.
const OPEN_BY_ID: Capability = Capability::CAP_SYS_ADMIN;

/// Kept if present: a kubeconfig may belong to the user behind `sudo`, and a port may be below 1024.
const USEFUL: [Capability; 2] = [Capability::CAP_DAC_READ_SEARCH, Capability::CAP_NET_BIND_SERVICE];

/// Why capabilities can't be dropped.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegesError {
    /// The kernel refuses the new sets.
    #[error("drop capabilities")]
    Drop(#[from] CapsError),
    /// The kernel refuses the flag.
    #[error("prevent programs that this process starts from gaining privileges (PR_SET_NO_NEW_PRIVS)")]
    NoNewPrivileges(#[from] Errno),
}

/// Capabilities that the process lacks.
#[derive(Debug, PartialEq, Eq)]
pub struct Missing(Vec<Need>);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Need { capability, purpose }) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{capability} (to {purpose})")?;
        }
        Ok(())
    }
}

/// Returns the capabilities that the process lacks and can't serve without.
pub fn missing() -> Option<Missing> {
    missing_of(&ALWAYS)
}

/// Returns the capabilities that the process lacks to destroy UDP sockets in all pods.
pub fn missing_for_termination() -> Option<Missing> {
    missing_of(&TERMINATION)
}

/// Returns the capabilities that the process lacks to load a copy of the attached programs.
pub fn missing_for_copies() -> Option<Missing> {
    let [bpf, network, helpers] = ALWAYS;
    missing_of(&[bpf, network, helpers, need(OPEN_BY_ID, "open the attached programs by their ids")])
}

/// Whether the process may list firewall rules and the programs on hooks.
pub fn can_look_at_network() -> bool {
    caps::has_cap(None, CapSet::Effective, Capability::CAP_NET_ADMIN).unwrap_or(false)
}

fn missing_of(needs: &[Need]) -> Option<Missing> {
    let lacks = |need: &&Need| !caps::has_cap(None, CapSet::Permitted, need.capability).unwrap_or(false);
    let missing: Vec<Need> = needs.iter().filter(lacks).copied().collect();
    (!missing.is_empty()).then_some(Missing(missing))
}

/// Drops every capability that the agent never uses from the calling thread and the threads that it starts. Prevents programs
/// that it starts (credential plugins of a kubeconfig) from gaining any. The capabilities to destroy UDP sockets are kept out
/// of the effective set, or dropped, too, if `ends_sockets` is false.
pub fn drop_unneeded(ends_sockets: bool) -> Result<(), PrivilegesError> {
    let later: &[Need] = if ends_sockets { &TERMINATION } else { &[] };
    if let Some(missing) = missing_of(later) {
        warn!(
            %missing,
            "UDP sockets of removed backends are not destroyed in all pods, because capabilities are missing: give them to the \
             agent, or run it with --udp-termination=false"
        );
    }
    let permitted = caps::read(None, CapSet::Permitted)?;
    let kept = |wanted: CapsHashSet| -> CapsHashSet { wanted.intersection(&permitted).copied().collect() };
    let always = ALWAYS.iter().map(|need| need.capability).chain(USEFUL);
    let effective = kept(always.clone().collect());
    caps::set(None, CapSet::Effective, &effective)?;
    let later = later.iter().map(|need| need.capability).chain([OPEN_BY_ID]);
    caps::set(None, CapSet::Permitted, &kept(always.chain(later).collect()))?;
    set_no_new_privs()?;
    Ok(())
}

/// Makes the capabilities to destroy UDP sockets effective in the calling thread and the threads that it starts. Missing
/// ones have been logged by [`drop_unneeded`].
pub(crate) fn raise_for_termination() {
    for Need { capability, .. } in TERMINATION {
        let _ = caps::raise(None, CapSet::Effective, capability);
    }
}

/// Calls `look` with CAP_SYS_ADMIN, if the process has it: without it, the kernel opens no programs by their ids.
pub(crate) fn with_all_programs_visible<T>(look: impl FnOnce() -> T) -> T {
    let raised = [CapSet::Effective, CapSet::Permitted].map(|set| caps::has_cap(None, set, OPEN_BY_ID));
    let is_raised = matches!(raised, [Ok(false), Ok(true)]) && caps::raise(None, CapSet::Effective, OPEN_BY_ID).is_ok();
    let found = look();
    if is_raised {
        // A thread may always drop a capability.
        let _ = caps::drop(None, CapSet::Effective, OPEN_BY_ID);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_purpose() {
        let missing = Missing(TERMINATION.to_vec());
        let expected = "CAP_SYS_ADMIN (to enter the network namespaces of pods), CAP_SYS_PTRACE (to find the network \
                        namespaces of other processes)";
        assert_eq!(missing.to_string(), expected);
    }
}
