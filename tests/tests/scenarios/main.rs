//! Scenarios: whole nodes with real agents, real packets and real processes in network namespaces. Need root.
//!
//! They are one executable, so that the harness is linked once and tests of all groups run at the same time. Tests are
//! named after rules of docs/semantics.md.

mod agent;
mod devices;
mod events;
mod health;
mod labs;
mod machines;
mod monitoring;
mod outside;
mod page;
mod privileges;
mod programs;
mod restart;
mod sockets;
mod standalone;
