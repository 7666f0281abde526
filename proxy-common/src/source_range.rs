//! SOURCE_RANGES: which clients a load-balancer IP serves (S21).

use crate::{addr::Address, pod::pod};

pod! {
    /// Key of SOURCE_RANGES, a longest-prefix trie. A prefix is 32 bits longer than that of the [`Address`], since the service id
    /// is always matched whole. The value is a `u32`, 1.
    pub struct SourceRange: 20 {
        /// Service id, in network byte order, since a trie matches from the first byte on.
        pub service: u32,
        /// A client's address.
        pub client: Address,
    }
}

impl SourceRange {
    /// The key for a client of a service.
    #[inline(always)]
    pub const fn new(service: u32, client: Address) -> Self {
        Self { service: service.to_be(), client }
    }
}
