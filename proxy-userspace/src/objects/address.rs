//! Lenient parsing of the addresses and prefixes in API objects (S6), and which addresses frontends and endpoints may
//! have (S7). IPv4-mapped IPv6 becomes IPv4. Pure; it knows nothing of objects.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

/// Why a text can't be parsed as an address or prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The text is an address of neither family.
    #[error("{0:?} is not an IP address")]
    Address(String),
    /// The text is not an address, a slash and a prefix length of the address's family.
    #[error("{0:?} is not a CIDR such as 10.96.0.0/16")]
    Cidr(String),
}

/// Parses an address. Octets and groups may have leading zeros; surrounding spaces are ignored.
pub fn parse_address(text: &str) -> Result<IpAddr, AddressError> {
    let trimmed = text.trim();
    let address = if trimmed.contains(':') {
        parse_ipv6(trimmed).map(|address| IpAddr::V6(address).to_canonical())
    } else {
        parse_ipv4(trimmed).map(IpAddr::V4)
    };
    address.ok_or_else(|| AddressError::Address(text.to_owned()))
}

/// Parses a prefix as leniently as [`parse_address`], and clears the bits after the prefix length.
pub fn parse_cidr(text: &str) -> Result<IpNet, AddressError> {
    parse_prefix(text.trim()).ok_or_else(|| AddressError::Cidr(text.to_owned()))
}

/// Returns why `address` can't be an endpoint's (S7); `None` if it can.
pub fn endpoint_fault(address: IpAddr) -> Option<&'static str> {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    if link_local { Some("a link-local address") } else { frontend_fault(address) }
}

/// Returns why `address` can't be a frontend's; `None` if it can.
pub fn frontend_fault(address: IpAddr) -> Option<&'static str> {
    if address.is_unspecified() {
        Some("the unspecified address")
    } else if address.is_loopback() {
        Some("a loopback address")
    } else if address.is_multicast() {
        Some("a multicast address")
    } else if address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        Some("the broadcast address")
    } else {
        None
    }
}

fn parse_ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        *octet = parse_decimal(parts.next()?)?;
    }
    parts.next().is_none().then(|| octets.into())
}

/// Removes leading zeros from each group, so that the standard parser accepts the address.
fn parse_ipv6(text: &str) -> Option<Ipv6Addr> {
    let mut strict = String::with_capacity(text.len());
    for (index, group) in text.split(':').enumerate() {
        if index > 0 {
            strict.push(':');
        }
        if group.contains('.') {
            strict.push_str(&parse_ipv4(group)?.to_string());
        } else {
            strict.push_str(without_leading_zeros(group));
        }
    }
    strict.parse().ok()
}

fn parse_prefix(text: &str) -> Option<IpNet> {
    let (address, length) = text.split_once('/')?;
    let length: u8 = parse_decimal(length)?;
    match parse_address(address).ok()? {
        IpAddr::V4(v4) if address.contains(':') => Ipv4Net::new(v4, length.checked_sub(96)?).ok().map(IpNet::V4),
        ip => IpNet::new(ip, length).ok(),
    }
    .map(|net| net.trunc())
}

fn parse_decimal(text: &str) -> Option<u8> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| without_leading_zeros(text).parse().ok()).flatten()
}

fn without_leading_zeros(text: &str) -> &str {
    let trimmed = text.trim_start_matches('0');
    if trimmed.is_empty() && !text.is_empty() { "0" } else { trimmed }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn s6_addresses_are_read_leniently_and_canonicalised() {
        for (text, expected) in [
            ("10.0.0.1", "10.0.0.1"),
            (" 010.000.00000.01\n", "10.0.0.1"),
            ("0.0.0.0", "0.0.0.0"),
            ("fd00::0001", "fd00::1"),
            ("FD00:0:0::00001", "fd00::1"),
            ("::", "::"),
            ("1::", "1::"),
            ("::ffff:010.0.0.1", "10.0.0.1"),
            ("::ffff:a00:1", "10.0.0.1"),
        ] {
            assert_eq!(parse_address(text), Ok(ip(expected)), "{text:?}");
        }
    }

    #[test]
    fn s6_what_is_no_address_is_refused() {
        for text in [
            "",
            " ",
            "10.0.0",
            "10.0.0.1.1",
            "10.0.0.256",
            "10.0.0.-1",
            "10.0.0.+1",
            "10. 0.0.1",
            "0x0a.0.0.1",
            "10.0.0.1/8",
            "10.0.0.1:80",
            ":",
            ":::",
            "fe80::1%eth0",
            "1:2:3:4:5:6:7:8:9",
            "fd00::12345",
            "[::1]",
            "example.org",
            "None",
        ] {
            assert_eq!(parse_address(text), Err(AddressError::Address(text.to_owned())));
        }
    }

    #[test]
    fn s6_cidrs_are_read_leniently_and_truncated() {
        for (text, expected) in [
            ("10.96.0.0/16", "10.96.0.0/16"),
            (" 010.096.001.002/016 ", "10.96.0.0/16"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("fd00:0010::1/112", "fd00:10::/112"),
            ("::/0", "::/0"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ] {
            assert_eq!(parse_cidr(text), Ok(expected.parse().unwrap()), "{text:?}");
        }
        for text in ["", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "/8", "::/129", "::ffff:1.2.3.4/90"] {
            assert_eq!(parse_cidr(text), Err(AddressError::Cidr(text.to_owned())));
        }
    }

    #[test]
    fn s7_special_addresses_cannot_answer() {
        for text in ["0.0.0.0", "::", "127.0.0.1", "127.9.9.9", "::1", "169.254.1.1", "fe80::1", "224.0.0.1", "ff02::1"]
        {
            assert!(endpoint_fault(ip(text)).is_some(), "{text}");
        }
        for text in ["10.0.0.1", "192.168.1.1", "fd00::1", "2001:db8::1", "203.0.113.7"] {
            assert_eq!(endpoint_fault(ip(text)), None, "{text}");
        }
        assert_eq!(frontend_fault(ip("169.254.20.10")), None);
        assert!(frontend_fault(ip("0.0.0.0")).is_some());
    }

    proptest! {
        #[test]
        fn s6_every_address_in_standard_form_is_read(address: IpAddr, length in 0..=128_u8) {
            prop_assert_eq!(parse_address(&address.to_string()), Ok(address.to_canonical()));
            if let Ok(net) = IpNet::new(address, length) && address == address.to_canonical() {
                prop_assert_eq!(parse_cidr(&net.to_string()), Ok(net.trunc()));
            }
        }

        #[test]
        fn s6_no_text_makes_the_parsers_panic(text in "[0-9a-fx:./ %]{0,24}|.*") {
            let _ = (parse_address(&text), parse_cidr(&text));
        }
    }
}
