//! The exceptions that the checks allow. A listed duplicate that no longer exists fails the check, too.

/// The licences that a dependency may have.
pub(super) const LICENCES: [&str; 7] = ["Apache-2.0", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "Unicode-3.0", "Zlib"];

/// Crates that are built in more than one version, with the crates that need the older one.
pub(super) const DUPLICATES: [(&str, &str); 5] = [
    ("base64", "k8s-openapi and tower-http, both used by kube, need 0.22"),
    ("getrandom", "ring needs 0.2, ahash (used by kube) 0.3; proptest and tempfile use the newest"),
    ("hashbrown", "kube-runtime needs 0.16"),
    ("signal-hook", "crossterm needs 0.3"),
    ("syn", "most derive macros still need 2; clap, serde and thiserror use 3"),
];
