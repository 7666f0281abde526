//! Tests of the lab, on which all other scenarios rely.

mod agents;
mod hosts;
mod sockets;
