//! Fuzz target: kubeconfigs.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| proxy_userspace::fuzz::kubeconfig(input));

/// Empty. Only `cargo xtask fuzz` builds this target as a program.
#[cfg(not(fuzzing))]
fn main() {}
