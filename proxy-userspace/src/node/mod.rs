//! The machine that the agent runs on, as its kernel describes it: devices, routes and addresses, firewalls,
//! capabilities, the seccomp filter and limits, and the process's own heap. Nothing here knows about Services.

pub mod addresses;
pub(crate) mod bpf;
pub(crate) mod btf;
pub mod capabilities;
pub(crate) mod forwarding;
pub mod heap;
pub mod host;
pub mod jiffies;
pub(crate) mod netdev;
pub(crate) mod netfilter;
pub(crate) mod netlink;
pub mod open_files;
pub(crate) mod route_lookup;
pub(crate) mod rtnetlink;
pub mod seccomp;
pub mod snat_ports;
