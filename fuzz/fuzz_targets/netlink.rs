//! Fuzz target: netlink messages from the kernel.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| proxy_userspace::fuzz::netlink(input));

/// Empty. Only `cargo xtask fuzz` builds this target as a program.
#[cfg(not(fuzzing))]
fn main() {}
