//! Packets that belong to no Service although they come to a Service's address and port (S39), seen by real sockets:
//! the node's own, and those of pods that netfilter masquerades.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

mod answers;
mod large;
mod loopback;
mod ports;
