//! What else the agent needs of the machine: file systems and capabilities.

use std::path::Path;

use super::finding::Finding;
use crate::{
    logging::errors::Report,
    node::{
        capabilities::{self, Missing},
        host::{self, BPFFS_REMEDY, HostError},
    },
};

/// Looks at mounts and capabilities. `cgroup` is the one that the agent would serve.
pub(super) fn findings(cgroup: Result<&Path, &HostError>) -> Vec<Finding> {
    vec![
        bpffs(host::find_bpffs()),
        of_cgroup(cgroup, host::is_whole_hierarchy),
        capabilities(capabilities::missing(), nix::unistd::Uid::effective().is_root()),
        termination(capabilities::missing_for_termination()),
    ]
}

fn bpffs(found: Result<(), HostError>) -> Finding {
    match found {
        Ok(()) => Finding::ok("bpffs", "mounted at /sys/fs/bpf"),
        Err(HostError::NoBpffs) => {
            Finding::missing("bpffs", "no BPF file system is mounted at /sys/fs/bpf", BPFFS_REMEDY)
        }
        Err(error) => Finding::unseen("bpffs", Report(&error)),
    }
}

fn of_cgroup(cgroup: Result<&Path, &HostError>, is_whole: impl Fn(&Path) -> bool) -> Finding {
    match cgroup {
        Ok(path) if is_whole(path) => {
            Finding::ok("cgroup v2", format!("{} is the root of the hierarchy", path.display()))
        }
        Ok(path) => Finding::warning(
            "cgroup v2",
            format!("{} is not the root of the hierarchy: processes outside it can't reach Services", path.display()),
            "mount the host's cgroup v2 hierarchy and name it with --cgroup",
        ),
        Err(HostError::NoCgroup) => Finding::missing(
            "cgroup v2",
            "no cgroup v2 hierarchy is mounted",
            "mount one with `mount -t cgroup2 none /sys/fs/cgroup`, or name a folder with --cgroup",
        ),
        Err(error) => Finding::unseen("cgroup v2", Report(error)),
    }
}

fn capabilities(missing: Option<Missing>, is_root: bool) -> Finding {
    let Some(missing) = missing else { return Finding::ok("capabilities", "all that serving needs") };
    let found = format!("this process lacks {missing}");
    if is_root {
        // Root in a container, which the agent would be, too.
        return Finding::missing("capabilities", found, "give these capabilities to the container");
    }
    let advice =
        "run the agent as root or with these capabilities; run waggle check the same way to see what else is missing";
    Finding::warning("capabilities", found, advice)
}

fn termination(missing: Option<Missing>) -> Finding {
    const SUBJECT: &str = "ending UDP sockets";
    match missing {
        None => Finding::ok(SUBJECT, "all capabilities for it"),
        Some(missing) => Finding::warning(
            SUBJECT,
            format!("this process lacks {missing}: sockets in pods stay connected to backends that are gone"),
            "give these capabilities to the agent, or run it with --udp-termination=false",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::check::finding::Level;

    #[test]
    fn file_systems_that_are_not_mounted_are_missing() {
        assert_eq!([bpffs(Ok(())).level, bpffs(Err(HostError::NoBpffs)).level], [Level::Ok, Level::Missing]);
        let path = Path::new("/sys/fs/cgroup");
        assert_eq!(of_cgroup(Ok(path), |_| true).level, Level::Ok);
        assert_eq!(of_cgroup(Ok(path), |_| false).level, Level::Warning);
        assert_eq!(of_cgroup(Err(&HostError::NoCgroup), |_| true).level, Level::Missing);
    }

    #[test]
    fn only_root_knows_what_the_agent_will_lack() {
        assert_eq!(capabilities(None, false).level, Level::Ok);
        assert_eq!(termination(None).level, Level::Ok);
    }
}
