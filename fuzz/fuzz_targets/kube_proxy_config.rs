//! Fuzz target: kube-proxy's configuration file (`--config`).

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| proxy_userspace::fuzz::kube_proxy_config(input));

/// Empty. Only `cargo xtask fuzz` builds this target as a program.
#[cfg(not(fuzzing))]
fn main() {}
