//! Other service proxies on the node: programs on the cgroup's hooks, Cilium, and kube-proxy with what it left.

use super::{devices::shown, finding::Finding};
use crate::{
    attach::{AttachError, occupants::Occupant},
    commands::kube_proxy::{KubeProxyError, Presence},
    logging::errors::Report,
};

/// What Cilium's programs are called.
const CILIUM: &str = "cil_";

/// Returns the finding about the cgroup's hooks.
pub(super) fn socket_hooks(found: &Result<Vec<Occupant>, AttachError>) -> Finding {
    const SUBJECT: &str = "socket hooks";
    let programs = match found {
        Err(error) => return Finding::unseen(SUBJECT, Report(error)),
        Ok(programs) if programs.is_empty() => return Finding::ok(SUBJECT, "no programs of others on the cgroup"),
        Ok(programs) => programs,
    };
    let exclusive: Vec<_> = programs.iter().filter(|program| program.is_exclusive).cloned().collect();
    if exclusive.is_empty() {
        return Finding::warning(
            SUBJECT,
            format!("programs of others on the cgroup: {}", shown(programs)),
            "stop what attached them if it serves Services, too: two programs may rewrite the same call",
        );
    }
    let found = format!("programs on the cgroup that let no other beside them: {}", shown(&exclusive));
    Finding::missing(SUBJECT, found, "stop what attached them, or detach them with `bpftool cgroup detach`")
}

/// Returns the finding about Cilium: whether its programs are on the cgroup or its devices in this network namespace.
pub(super) fn cilium(programs: &[Occupant], has_devices: bool) -> Finding {
    let is_serving = programs.iter().any(|program| program.name.starts_with(CILIUM));
    let found = match (is_serving, has_devices) {
        (false, false) => return Finding::ok("Cilium", "none of its programs and devices is seen here"),
        (true, _) => "its programs on socket hooks serve Services",
        (false, true) => "it is on this node, and may serve Services",
    };
    Finding::warning("Cilium", found, "let only one of both serve Services: set Cilium's kubeProxyReplacement to false")
}

/// Returns the findings about kube-proxy.
pub(super) fn kube_proxy(presence: &Result<Presence, KubeProxyError>) -> Vec<Finding> {
    const SUBJECT: &str = "kube-proxy";
    let Presence { process, leftovers } = match presence {
        Ok(presence) => presence,
        Err(error) => return vec![Finding::unseen(SUBJECT, Report(error))],
    };
    let advice = "remove it with `waggle cleanup --kube-proxy`, once Waggle serves; --dry-run shows what that would do";
    let left = leftovers
        .removed()
        .map(|(kind, what)| Finding::warning("kube-proxy's rules", format!("{kind}: {what}"), advice));
    let mut findings: Vec<_> = process
        .iter()
        .map(|process| {
            let found = format!("it is running (process {process})");
            Finding::warning(SUBJECT, found, "stop it once Waggle serves: both would translate the same packets")
        })
        .chain(left)
        .collect();
    if findings.is_empty() {
        findings.push(Finding::ok(SUBJECT, "neither running nor has it left anything"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::check::finding::Level;

    fn occupant(name: &str, is_exclusive: bool) -> Occupant {
        Occupant { hook: "connect4", id: 7, name: name.to_owned(), is_exclusive }
    }

    #[test]
    fn only_a_hook_that_is_held_alone_is_missing() {
        let level = |programs| socket_hooks(&Ok(programs)).level;
        assert_eq!(level(vec![]), Level::Ok);
        assert_eq!(level(vec![occupant("a", false)]), Level::Warning);
        let held = socket_hooks(&Ok(vec![occupant("a", false), occupant("b", true)]));
        assert!(held.level == Level::Missing && held.found.ends_with(": 7 (b) on connect4"), "{held:?}");
    }

    #[test]
    fn cilium_is_known_by_its_programs_and_devices() {
        let levels = [
            cilium(&[], false),
            cilium(&[], true),
            cilium(&[occupant("cil_sock4_connect", false)], false),
            cilium(&[occupant("sock4_connect", false)], false),
        ];
        let levels = levels.map(|finding| finding.level);
        assert_eq!(levels, [Level::Ok, Level::Warning, Level::Warning, Level::Ok]);
    }

    #[test]
    fn kube_proxy_that_runs_is_named() {
        let presence =
            |process| Ok(Presence { process, leftovers: crate::commands::kube_proxy::CleanupReport::default() });
        assert_eq!(kube_proxy(&presence(None))[0].level, Level::Ok);
        let [running] = &kube_proxy(&presence(Some(9)))[..] else { panic!("one line") };
        assert!(running.level == Level::Warning && running.found.contains("process 9"));
        assert!(kube_proxy(&Err(KubeProxyError::Running(9)))[0].found.starts_with("not seen: "));
    }
}
