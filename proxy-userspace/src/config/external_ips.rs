//! `--external-ip-cidrs`: which externalIPs a Service may ask for (CVE-2020-8554).

use std::{net::IpAddr, str::FromStr};

use ipnet::IpNet;

use crate::objects::address::parse_cidr;

/// Which externalIPs are served (S18).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ExternalIps {
    /// All of them, as in kube-proxy.
    #[default]
    Any,
    /// The addresses in these prefixes.
    Cidrs(Vec<IpNet>),
}

impl ExternalIps {
    /// True if a Service may have this externalIP.
    pub fn allow(&self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Cidrs(cidrs) => cidrs.iter().any(|cidr| cidr.contains(&address)),
        }
    }
}

/// The text is neither `none` nor a list of CIDRs. Holds the part that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a CIDR such as 203.0.113.0/24; give `none` or CIDRs separated by commas")]
pub struct ExternalIpsError(String);

impl FromStr for ExternalIps {
    type Err = ExternalIpsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() == "none" {
            return Ok(Self::Cidrs(Vec::new()));
        }
        let cidr = |part: &str| parse_cidr(part).map_err(|_| ExternalIpsError(part.to_owned()));
        text.split(',').map(cidr).collect::<Result<_, _>>().map(Self::Cidrs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s18_external_ips_are_everything_or_nothing_or_those_in_cidrs() {
        let allowed = |given: &ExternalIps| {
            ["203.0.113.7", "203.0.114.1", "2001:db8::7"].map(|address| given.allow(address.parse().unwrap()))
        };
        assert_eq!(allowed(&ExternalIps::default()), [true; 3]);
        assert_eq!(allowed(&"none".parse().unwrap()), [false; 3]);
        assert_eq!(allowed(&"203.0.113.0/24, 2001:db8::/64".parse().unwrap()), [true, false, true]);
        for text in ["", "203.0.113.7", "none,203.0.113.0/24", "any"] {
            assert!(text.parse::<ExternalIps>().unwrap_err().to_string().contains("`none`"), "{text}");
        }
    }
}
