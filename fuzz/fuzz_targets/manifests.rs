//! Fuzz target: manifests of a folder (`--manifests`).

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| proxy_userspace::fuzz::manifests(input));

/// It is a program only as `cargo xtask fuzz` builds it.
#[cfg(not(fuzzing))]
fn main() {}
