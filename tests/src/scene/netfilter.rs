//! netfilter's memory of flows.

use std::fs;

use crate::lab::Netns;

/// The sysctls of flows of UDP: without an answer or of one moment, and with several answers.
const OF_DATAGRAMS: [&str; 2] = ["nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream"];

/// Makes netfilter remember flows of UDP for so many seconds after their last packet. By default it forgets some after 30 seconds,
/// in which a slow machine does not start an agent. nf_conntrack must be loaded.
pub fn remember_datagrams(netns: &Netns, seconds: u32) {
    for name in OF_DATAGRAMS {
        let path = format!("/proc/sys/net/netfilter/{name}");
        let write = || fs::write(&path, seconds.to_string());
        netns.inside(write).expect("enter the namespace").unwrap_or_else(|error| panic!("write {path}: {error}"));
    }
}
