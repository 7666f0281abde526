//! Selects the tests that run on other kernels.

use super::kernel::{SERIES, Series};

/// The test executables and their arguments. They test what differs between kernels: verifier, helpers, hooks, netlink. They
/// can only use what the machine has: `waggle`, `labproc`, busybox, and the programs that `initramfs.rs` copies.
const TESTS: [(&str, &[&str]); 9] = [
    ("scenarios", &["programs::load::"]),
    ("scenarios", &["programs::instructions::", "--show-output"]),
    // Without the tests that enter every port of a node, or send random packets: they take minutes on an emulated CPU.
    ("packet_tables", &["--skip", "exhaustion", "--skip", "model::"]),
    // Clients see the right backends and addresses: both sources and families, TCP and UDP.
    ("scenarios", &["sockets::translation::s26_"]),
    // Attached links get new programs.
    ("scenarios", &["agent::life::s31_a_killed_agent"]),
    // Devices that Debian's kernels support, unlike the kernels of many hosts.
    ("scenarios", &["outside::upper::", "--ignored"]),
    // Operations for which the kernel demands a capability.
    ("scenarios", &["privileges::"]),
    // Sockets are listed and destroyed.
    ("scenarios", &["sockets::termination::"]),
    // Tracing programs, which the kernels of many hosts refuse.
    ("scenarios", &["agent::capture::", "--ignored"]),
];

/// Further tests for the oldest series alone. What they test does not depend on the kernel's version, but many hosts lack it. Each
/// series has a part of such tests, so that the machines take about equally long.
const OLDEST_TESTS: [(&str, &[&str]); 1] = [
    // Tunnels and other network plugins' devices.
    ("scenarios", &["machines::", "--ignored"]),
];

/// Further tests for the newest series alone: its part.
const NEWEST_TESTS: [(&str, &[&str]); 2] = [
    // SCTP: how it is served, in `waggle monitor` and in `waggle explain`.
    ("scenarios", &["associations::", "--ignored"]),
    // What kube-proxy leaves in IPVS mode.
    ("scenarios", &["ipvs"]),
];

/// A test executable and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selection {
    /// The name of the test target.
    pub(super) target: String,
    arguments: Vec<String>,
}

impl Selection {
    /// The usual tests for a kernel series.
    pub(super) fn usual(series: &Series) -> Vec<Self> {
        let is = |other: Option<&Series>| other.is_some_and(|other| other.name == series.name);
        let of_oldest = OLDEST_TESTS.iter().filter(|_| is(SERIES.first()));
        let of_newest = NEWEST_TESTS.iter().filter(|_| is(SERIES.last()));
        TESTS.iter().chain(of_oldest).chain(of_newest).map(Self::from).collect()
    }

    pub(super) fn new(target: &str, arguments: &[impl ToString]) -> Self {
        Self { target: target.into(), arguments: arguments.iter().map(ToString::to_string).collect() }
    }

    /// Returns the line for the machine's init: the executable and its arguments, which must not contain spaces.
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
