//! `--nodeport-addresses`: where node ports are served.

use std::{net::IpAddr, str::FromStr};

use ipnet::IpNet;

use crate::objects::address::parse_cidr;

/// Which of this node's addresses serve node ports (S19).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NodePortAddresses {
    /// The addresses in the Node object.
    #[default]
    Primary,
    /// The addresses in these prefixes.
    Cidrs(Vec<IpNet>),
}

impl NodePortAddresses {
    /// True if health checks are answered at `address` (S22). Without CIDRs, that is every address: some load balancers send
    /// their probes to the address that they balance, which is not in the Node object.
    pub fn allows(&self, address: IpAddr) -> bool {
        match self {
            Self::Primary => true,
            Self::Cidrs(cidrs) => cidrs.iter().any(|cidr| cidr.contains(&address)),
        }
    }
}

/// The text is neither `primary` nor a list of CIDRs. Holds the part that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum NodePortAddressesError {
    /// A part is neither.
    #[error("{0:?} is not a CIDR such as 10.96.0.0/16; give `primary` or CIDRs separated by commas")]
    Part(String),
    /// `primary` is among CIDRs.
    #[error("`primary` must stand alone: give either `primary`, or CIDRs separated by commas")]
    PrimaryAmongOthers,
}

impl FromStr for NodePortAddresses {
    type Err = NodePortAddressesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<_> = text.split(',').map(str::trim).collect();
        // `primary` includes node ports on loopback.
        if parts.contains(&"primary") && parts.iter().all(|part| ["primary", "localhost"].contains(part)) {
            return Ok(Self::Primary);
        }
        if parts.contains(&"primary") {
            return Err(NodePortAddressesError::PrimaryAmongOthers);
        }
        let cidr = |part: &str| parse_cidr(part).map_err(|_| NodePortAddressesError::Part(part.to_owned()));
        parts.iter().flat_map(|part| expand(part)).map(cidr).collect::<Result<_, _>>().map(Self::Cidrs)
    }
}

/// Replaces a keyword of kube-proxy by the CIDRs that it stands for.
fn expand(part: &str) -> Vec<&str> {
    match part {
        "all" => vec!["0.0.0.0/0", "::/0"],
        "localhost" => vec!["127.0.0.0/8", "::1/128"],
        cidr => vec![cidr],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s19_nodeport_addresses_are_primary_or_cidrs() {
        assert_eq!("primary".parse::<NodePortAddresses>().unwrap(), NodePortAddresses::Primary);
        let cidrs = ["10.0.0.0/8", "::/0"].map(|cidr| cidr.parse().unwrap()).to_vec();
        assert_eq!("10.1.0.0/8, ::/0".parse::<NodePortAddresses>().unwrap(), NodePortAddresses::Cidrs(cidrs));
        assert_eq!("primary,localhost".parse::<NodePortAddresses>().unwrap(), NodePortAddresses::Primary);
        for (keyword, cidrs) in [("all", "0.0.0.0/0,::/0"), ("localhost", "127.0.0.0/8,::1/128")] {
            let of = |text: &str| text.parse::<NodePortAddresses>().unwrap();
            assert_eq!(of(keyword), of(cidrs));
        }
        for text in ["", "10.0.0.1", "primary,10.0.0.0/8", "10.0.0.0/8,"] {
            assert!(text.parse::<NodePortAddresses>().unwrap_err().to_string().contains("primary"), "{text}");
        }
        for text in ["primary,10.0.0.0/8", "fd00::/8,primary", "primary,all"] {
            let error = text.parse::<NodePortAddresses>().unwrap_err().to_string();
            assert!(error.contains("`primary` must stand alone"), "{text}: {error}");
        }
    }

    #[test]
    fn s22_health_checks_are_answered_in_the_cidrs_or_everywhere() {
        let cidrs: NodePortAddresses = "10.0.0.0/8,fd00::/8".parse().unwrap();
        let all: NodePortAddresses = "0.0.0.0/0,::/0".parse().unwrap();
        for (address, is_inside) in [("10.1.2.3", true), ("192.0.2.1", false), ("fd00::1", true), ("127.0.0.1", false)]
        {
            let address = address.parse().unwrap();
            let allow = [NodePortAddresses::Primary, all.clone(), cidrs.clone()].map(|chosen| chosen.allows(address));
            assert_eq!(allow, [true, true, is_inside], "{address}");
        }
    }
}
