//! What the checks let pass. A duplicate that is listed but no longer there fails the check too.

/// Licences under which a dependency may come.
pub(super) const LICENCES: [&str; 7] = ["Apache-2.0", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "Unicode-3.0", "Zlib"];

/// Crates that are built in more than one version, and which crates need the older one.
pub(super) const DUPLICATES: [(&str, &str); 4] = [
    ("base64", "k8s-openapi and tower-http, both from kube, are on 0.22"),
    ("getrandom", "ring is on 0.2, ahash from kube on 0.3; the newest comes with proptest and tempfile"),
    ("hashbrown", "kube-runtime is on 0.16"),
    ("syn", "most derive macros are still on 2; clap, serde and thiserror have moved to 3"),
];
