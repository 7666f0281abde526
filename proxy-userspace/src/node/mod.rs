//! The machine that the agent runs on, as its kernel tells it: devices, routes and addresses, firewalls, capabilities and
//! limits. Nothing here knows a Service.

pub mod addresses;
pub(crate) mod bpf;
pub mod capabilities;
pub(crate) mod forwarding;
pub mod host;
pub mod jiffies;
pub(crate) mod netfilter;
pub(crate) mod netlink;
pub mod open_files;
pub(crate) mod rtnetlink;
pub mod snat_ports;
pub(crate) mod ways;
