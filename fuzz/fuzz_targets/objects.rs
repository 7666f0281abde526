//! Fuzz target: objects that the API server sends.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| proxy_userspace::fuzz::objects(input));

/// Empty. Only `cargo xtask fuzz` builds this target as a program.
#[cfg(not(fuzzing))]
fn main() {}
