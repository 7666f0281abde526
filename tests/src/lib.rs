//! The test harness.

pub mod api_server;
pub mod instructions;
pub mod lab;
pub mod objects;
pub mod packet;
pub mod scene;
pub mod stage;
pub mod test_run;
