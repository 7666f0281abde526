//! Fuzz target: messages of the kernel.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| proxy_userspace::fuzz::netlink(input));

/// It is a program only as `cargo xtask fuzz` builds it.
#[cfg(not(fuzzing))]
fn main() {}
