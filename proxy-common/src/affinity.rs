//! AFFINITY: which backend a client keeps (S24, S25).

use crate::{addr::Address, pod::pod, shared::parts};

pod! {
    /// Key of AFFINITY: a client of a service port.
    pub struct AffinityKey: 24 {
        /// The client, as made by [`AffinityKey::from_netns`] or [`AffinityKey::from_address`].
        pub client: Address,
        /// Service id.
        pub service: u32,
        /// [`AffinityKey::NETNS`] or [`AffinityKey::ADDRESS`]: what `client` holds.
        pub kind: u32,
    }

    /// Value of AFFINITY.
    pub struct Affinity: 24 {
        /// Backend id.
        pub backend: u32,
        /// The backend's generation when it was chosen.
        pub backend_generation: u32,
        /// The service's generation when the backend was last known to be a member.
        pub service_generation: u32,
        /// Zero.
        pub _pad: u32,
        /// Time of the client's last new connection, ns on the kernel's coarse monotonic clock.
        pub last_connection: u64,
    }
}

parts! {
    Affinity { service_generation: u32, last_connection: u64 }
}

impl AffinityKey {
    /// `client` is a network namespace cookie (sockets).
    pub const NETNS: u32 = 1;
    /// `client` is a source address (packets).
    pub const ADDRESS: u32 = 2;

    /// The key of a client that is known by its network namespace, so that a pod is one client.
    #[inline(always)]
    pub const fn from_netns(cookie: u64, service: u32) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "the cookie is split into its two words")]
        let words = [0, 0, (cookie >> 32) as u32, cookie as u32];
        Self { client: Address::from_words(words), service, kind: Self::NETNS }
    }

    /// The key of a client that is known by its source address.
    #[inline(always)]
    pub const fn from_address(client: Address, service: u32) -> Self {
        Self { client, service, kind: Self::ADDRESS }
    }
}

impl Affinity {
    /// Whether the entry is older than `timeout` seconds at time `now` (ns). If the clock seems to run backwards (another CPU's
    /// coarse tick), the age is zero.
    #[inline(always)]
    pub const fn is_expired(&self, now: u64, timeout: u32) -> bool {
        now.saturating_sub(self.last_connection) > timeout as u64 * 1_000_000_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s24_expires_after_its_timeout_and_not_before() {
        let affinity = Affinity { last_connection: 5_000_000_000, ..Affinity::default() };
        assert!(!affinity.is_expired(15_000_000_000, 10));
        assert!(affinity.is_expired(15_000_000_001, 10));
        assert!(!affinity.is_expired(4_000_000_000, 10), "a coarse clock may lag");
    }

    #[test]
    fn s25_namespace_and_address_clients_never_collide() {
        let netns = AffinityKey::from_netns(0x1_0000_0002, 7);
        assert_ne!(netns, AffinityKey::from_address(netns.client, 7));
        assert_ne!(netns, AffinityKey::from_netns(0x2_0000_0001, 7));
    }
}
