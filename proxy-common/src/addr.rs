//! The one address type: IPv4 is its IPv4-mapped IPv6 form (RFC 4291 §2.5.5.2), so that both families
//! share every map and every code path.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 or IPv6 address, 16 bytes in network byte order, aligned to 4 for word-wise copies.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(4))]
pub struct Address {
    /// `::ffff:a.b.c.d` for IPv4.
    pub bytes: [u8; 16],
}

const _: () = assert!(size_of::<Address>() == 16);

// SAFETY: sixteen bytes without padding; every bit pattern is an address.
#[cfg(feature = "user")]
#[expect(unsafe_code, reason = "aya wants a promise of what bytemuck's derive has checked")]
unsafe impl aya::Pod for Address {}

/// The third word of an IPv4-mapped address, in network byte order.
const MAPPED: u32 = 0xffff_u32.to_be();

impl Address {
    /// `0.0.0.0`: in a frontend, every IPv4 address of this node.
    pub const ANY_IPV4: Self = Self::from_words([0, 0, MAPPED, 0]);
    /// `::`: in a frontend, every IPv6 address of this node.
    pub const ANY_IPV6: Self = Self::from_words([0; 4]);

    /// The wildcard address of this address's family.
    #[inline(always)]
    #[must_use]
    pub const fn any(&self) -> Self {
        if self.is_ipv4() { Self::ANY_IPV4 } else { Self::ANY_IPV6 }
    }

    /// Makes an address from the four words of a socket address or an IPv6 header, each in network byte order.
    #[inline(always)]
    pub const fn from_words(words: [u32; 4]) -> Self {
        bytemuck::must_cast(words)
    }

    /// Makes an address from an IPv4 address, given as one word in network byte order.
    #[inline(always)]
    pub const fn from_ipv4_word(word: u32) -> Self {
        Self::from_words([0, 0, MAPPED, word])
    }

    /// The four words, each in network byte order. The last word holds the four bytes of an IPv4 address.
    #[inline(always)]
    pub const fn words(&self) -> [u32; 4] {
        bytemuck::must_cast(*self)
    }

    /// One of the four words. The others are not read.
    #[inline(always)]
    pub(crate) const fn word<const NUMBER: usize>(&self) -> u32 {
        bytemuck::must_cast_ref::<Self, [u32; 4]>(self)[NUMBER]
    }

    /// Whether this is an IPv4 address.
    #[inline(always)]
    pub const fn is_ipv4(&self) -> bool {
        let words = self.words();
        words[0] | words[1] | (words[2] ^ MAPPED) == 0
    }

    /// Whether this is `::1` or in `127.0.0.0/8`.
    #[inline(always)]
    pub const fn is_loopback(&self) -> bool {
        let words = self.words();
        if self.is_ipv4() {
            words[3].to_ne_bytes()[0] == 127
        } else {
            words[0] | words[1] | words[2] == 0 && words[3] == 1_u32.to_be()
        }
    }

    /// Replaces `0.0.0.0` and `::` by the loopback address, as connect(2) does. Other addresses stay.
    #[inline(always)]
    #[must_use]
    pub fn or_loopback(self) -> Self {
        let words = self.words();
        let others = words[0] | words[1] | words[3];
        if others | (words[2] ^ MAPPED) == 0 {
            Self::from_ipv4_word(0x7f00_0001_u32.to_be())
        } else if others | words[2] == 0 {
            Self::from_words([0, 0, 0, 1_u32.to_be()])
        } else {
            self
        }
    }
}

impl From<[u8; 4]> for Address {
    fn from(octets: [u8; 4]) -> Self {
        Ipv4Addr::from(octets).into()
    }
}

impl From<Ipv4Addr> for Address {
    fn from(address: Ipv4Addr) -> Self {
        Self { bytes: address.to_ipv6_mapped().octets() }
    }
}

impl From<Ipv6Addr> for Address {
    fn from(address: Ipv6Addr) -> Self {
        Self { bytes: address.octets() }
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) => v6.into(),
        }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        Ipv6Addr::from(address.bytes).to_canonical()
    }
}

impl core::fmt::Debug for Address {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        IpAddr::from(*self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_survive_the_round_trip() {
        for text in ["10.96.0.1", "0.0.0.0", "fd00::1", "::1", "::"] {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!(IpAddr::from(Address::from(ip)), ip);
            assert_eq!(Address::from(ip).is_ipv4(), ip.is_ipv4());
            assert_eq!(Address::from_words(Address::from(ip).words()), Address::from(ip));
        }
        let word = u32::from_ne_bytes([10, 96, 0, 1]);
        assert_eq!(Address::from_ipv4_word(word), Ipv4Addr::new(10, 96, 0, 1).into());
    }

    #[test]
    fn loopback_is_known() {
        for text in ["127.0.0.1", "127.1.2.3", "::1", "126.0.0.1", "128.0.0.1", "::", "0.0.0.0", "1::1", "::7f00:1"] {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!(Address::from(ip).is_loopback(), ip.is_loopback(), "{ip}");
        }
    }

    #[test]
    fn unspecified_is_loopback_as_connect_takes_it() {
        for (given, expected) in
            [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.0.0.1", "10.0.0.1"), ("::1", "::1"), ("fd00::", "fd00::")]
        {
            let given: IpAddr = given.parse().unwrap();
            let expected: IpAddr = expected.parse().unwrap();
            assert_eq!(Address::from(given).or_loopback(), expected.into());
        }
    }
}
