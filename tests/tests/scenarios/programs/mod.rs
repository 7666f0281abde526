//! The programs as the verifier sees them on this kernel.

mod instructions;
mod load;
