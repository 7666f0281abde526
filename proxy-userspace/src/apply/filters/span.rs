//! The entries of ADDRESS_FILTER that an address or a prefix has. Pure.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::{IpNet, Ipv6Net};
use proxy_common::filter::{filter_index, prefix_index};

use super::bits::Span;

/// The most bits by which an IPv6 prefix may be shorter than 64 for its /64 prefixes to be listed one by one.
const FEW: u8 = 12;

/// Returns the entry of an address.
pub(super) fn of_address(address: IpAddr) -> Span {
    Span::Entries(vec![entry(filter_index(&address.into()))])
}

/// Returns the entries of all addresses of a prefix.
pub(super) fn of_prefix(prefix: IpNet) -> Span {
    match prefix {
        IpNet::V4(net) if net.prefix_len() < 16 => {
            let first = entry(filter_index(&net.network().into()));
            let last = entry(filter_index(&net.broadcast().into()));
            Span::Entries((first..=last).collect())
        }
        IpNet::V6(net) if net.prefix_len() < 64 => of_short(net),
        net => of_address(net.network()),
    }
}

fn of_short(net: Ipv6Net) -> Span {
    let bits = 64 - net.prefix_len();
    if bits > FEW {
        return Span::Everywhere;
    }
    let first = u128::from(net.network()) >> 64;
    let index = |high: u128| {
        #[expect(clippy::cast_possible_truncation, reason = "each word is taken on its own")]
        let (first, second) = ((high >> 32) as u32, high as u32);
        entry(prefix_index(first.to_be(), second.to_be()))
    };
    let entries: BTreeSet<u16> = (first..first + (1 << bits)).map(index).collect();
    Span::Entries(entries.into_iter().collect())
}

fn entry(index: usize) -> u16 {
    u16::try_from(index).expect("filters have 2^16 entries")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn s20_a_short_ipv4_prefix_has_an_entry_for_each_of_its_16s() {
        let span = |text: &str| of_prefix(text.parse().unwrap());
        assert_eq!(span("10.96.0.0/12"), Span::Entries((0x0a60..0x0a70).collect()));
        assert_eq!(span("10.96.0.0/16"), Span::Entries(vec![0x0a60]));
        assert_eq!(span("10.96.7.0/24"), Span::Entries(vec![0x0a60]));
        assert_eq!(span("fd00::/40"), Span::Everywhere);
    }

    proptest! {
        #[test]
        fn s20_every_address_of_a_prefix_has_one_of_its_entries(address: IpAddr, length in 0..=128_u8, salt: u128) {
            let length = if address.is_ipv4() { length / 4 } else { length };
            let net = IpNet::new(address, length).unwrap().trunc();
            let inside: IpAddr = match net {
                IpNet::V4(net) => {
                    #[expect(clippy::cast_possible_truncation, reason = "any bits will do")]
                    let salt = salt as u32;
                    (u32::from(net.network()) | salt & u32::from(net.hostmask())).to_be_bytes().into()
                }
                IpNet::V6(net) => (u128::from(net.network()) | salt & u128::from(net.hostmask())).to_be_bytes().into(),
            };
            prop_assume!(IpNet::V6("::ffff:0:0/96".parse().unwrap()).contains(&inside) != inside.is_ipv6());
            let Span::Entries(entries) = of_prefix(net) else { return Ok(()) };
            let index = entry(filter_index(&inside.into()));
            prop_assert!(entries.contains(&index));
            prop_assert!(entries.is_sorted());
        }
    }
}
