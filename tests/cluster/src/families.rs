//! Addresses of the cluster, by family. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use clap::ValueEnum;

/// IP families of nodes, pods and Services, the primary one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Families {
    /// IPv4 alone
    Ipv4,
    /// IPv6 alone
    Ipv6,
    /// Both, IPv4 first
    Dual,
}

/// A machine on the bridge: the control plane, or a node by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// The control plane.
    Control,
    /// A node; they are numbered from 1.
    Node(u8),
}

impl Families {
    fn both<T>(self, v4: impl FnOnce() -> T, v6: impl FnOnce() -> T) -> Vec<T> {
        match self {
            Self::Ipv4 => vec![v4()],
            Self::Ipv6 => vec![v6()],
            Self::Dual => vec![v4(), v6()],
        }
    }

    /// A machine's addresses in the bridge's network.
    pub fn addresses(self, host: Host) -> Vec<IpAddr> {
        let number = match host {
            Host::Control => 1,
            Host::Node(number) => 10 + number,
        };
        let v6 = Ipv6Addr::new(0xfd31, 0, 0, 0, 0, 0, 0, number.into());
        self.both(|| Ipv4Addr::new(172, 31, 0, number).into(), || v6.into())
    }

    /// The networks of a node's pods.
    pub fn pod_networks(self, node: u8) -> Vec<String> {
        self.both(|| format!("10.244.{node}.0/24"), || format!("fd00:244:0:{node}::/64"))
    }

    /// The networks of all pods.
    pub fn cluster_networks(self) -> Vec<String> {
        self.both(|| "10.244.0.0/16".into(), || "fd00:244::/48".into())
    }

    /// The networks of Services.
    pub fn service_networks(self) -> Vec<String> {
        self.both(|| "10.96.0.0/16".into(), || "fd00:96::/112".into())
    }

    /// The cluster IPs of DNS.
    pub fn dns(self) -> Vec<String> {
        self.both(|| "10.96.0.10".into(), || "fd00:96::a".into())
    }
}

/// The length of the prefix of an address on the bridge.
pub const fn bridge_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 24 } else { 64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_has_an_address_for_each_machine() {
        let shown =
            |families: Families, host| families.addresses(host).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(shown(Families::Dual, Host::Control), ["172.31.0.1", "fd31::1"]);
        assert_eq!(shown(Families::Ipv6, Host::Node(2)), ["fd31::c"]);
        assert_eq!(Families::Ipv4.pod_networks(3), ["10.244.3.0/24"]);
    }
}
