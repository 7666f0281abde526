//! `waggle`.

fn main() {}
