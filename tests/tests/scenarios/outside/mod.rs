//! Packets from outside the node, and from pods whose sockets the node does not own: XDP and TC on devices.

mod associations;
mod bulk;
mod changes;
mod flood;
mod frontends;
mod host;
mod import;
mod jumbo;
mod kube_proxy;
mod own_traffic;
mod pod_interfaces;
mod upper;
