//! What the checks let pass, each with its reason. Every entry that is no longer needed fails the check too.

/// Licences under which a dependency may come.
pub(super) const LICENCES: [&str; 11] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that are built in more than one version, and who holds the older one.
pub(super) const DUPLICATES: [(&str, &str); 0] = [];

/// Where `unsafe` may be written, as beginnings of paths.
pub(super) const UNSAFE: [&str; 4] =
    ["proxy-ebpf/", "proxy-common/src/", "proxy-userspace/src/bpf.rs", "tests/src/lab/"];
