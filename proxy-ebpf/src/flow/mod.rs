//! The flows of packets: their tables, how they are opened, how packets move them, and their source ports.

mod bucket;
pub mod conntrack;
pub mod open;
pub mod refresh;
mod source_port;
pub mod table;
