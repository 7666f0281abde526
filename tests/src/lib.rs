//! The test harness.

pub mod api_server;
pub mod instructions;
pub mod lab;
pub mod objects;
pub mod scene;
pub mod stage;
