//! Which tests run on other kernels.

/// The executables and their arguments, chosen for what differs between kernels: verifier, helpers, hooks, netlink.
/// They can only use what the machine has: `ip`, `bpftool`, `ethtool`, `wg`, `waggle`, `labproc` and busybox.
pub(super) const TESTS: [(&str, &[&str]); 10] = [
    ("scenarios", &["programs::load::"]),
    ("scenarios", &["programs::instructions::", "--show-output"]),
    // All but the test that enters every port of a node by hand, which takes minutes on an emulated processor.
    ("packet_tables", &["--skip", "exhaustion"]),
    // Clients see the right backends and addresses: both sources and families, TCP and UDP.
    ("scenarios", &["sockets::translation::s26_"]),
    // Attached links get new programs.
    ("scenarios", &["agent::life::s31_a_killed_agent"]),
    // Devices that Debian's kernels have, unlike many hosts.
    ("scenarios", &["outside::upper::", "--include-ignored"]),
    ("scenarios", &["machines::", "--ignored"]),
    // SCTP, which Debian's kernels have.
    ("scenarios", &["outside::associations::", "--include-ignored", "--test-threads=1"]),
    // What a kernel asks a capability for.
    ("scenarios", &["privileges::"]),
    // Sockets are listed and destroyed.
    ("scenarios", &["sockets::termination::"]),
];

/// A test executable and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selection {
    /// The test target's name.
    pub(super) target: String,
    arguments: Vec<String>,
}

impl Selection {
    pub(super) fn new(target: &str, arguments: &[impl ToString]) -> Self {
        Self { target: target.into(), arguments: arguments.iter().map(ToString::to_string).collect() }
    }

    /// The line for the machine's init: words without spaces, the executable first.
    pub(super) fn line(&self) -> String {
        let words = std::iter::once(&self.target).chain(&self.arguments);
        words.map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}

impl From<&(&str, &[&str])> for Selection {
    fn from((target, arguments): &(&str, &[&str])) -> Self {
        Self::new(target, arguments)
    }
}
