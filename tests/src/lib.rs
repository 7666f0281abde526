//! The test harness.

pub mod lab;
pub mod objects;
