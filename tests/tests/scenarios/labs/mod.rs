//! The lab's own tests: what every other scenario relies on.

mod agents;
mod hosts;
mod sockets;
