//! The test harness.

pub mod api_server;
