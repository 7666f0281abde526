//! The test harness. A test's name begins with the number of the rule that it checks; docs/semantics.md has the rules.

pub use lab;

pub mod agents;
pub mod api_server;
pub mod instructions;
pub mod load;
pub mod objects;
pub mod packet;
pub mod refused;
pub mod scene;
pub mod test_run;
