//! Sockets of pods and of the node: what connect(2), sendmsg(2) and recvmsg(2) do in the cgroup.

mod affinity;
mod connected;
mod connections;
mod frontends;
mod policies;
mod source_ranges;
mod switch;
mod termination;
mod topology;
mod translation;
mod udp;
