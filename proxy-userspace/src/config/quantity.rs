//! The quantities that map sizes limit, each with its flag, map and initial size.

/// A quantity that the sizes of maps limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the field of its name in `MapSizes`")]
pub enum Quantity {
    Services,
    ServiceIds,
    Slots,
    Backends,
    Members,
    Networks,
    SourceRanges,
    Affinity,
    SocketConnections,
    SocketFlows,
    Conntrack,
    Embryonic,
    Fragments,
}

impl Quantity {
    /// Every quantity.
    pub const ALL: [Self; 13] = [
        Self::Services,
        Self::ServiceIds,
        Self::Slots,
        Self::Backends,
        Self::Members,
        Self::Networks,
        Self::SourceRanges,
        Self::Affinity,
        Self::SocketConnections,
        Self::SocketFlows,
        Self::Conntrack,
        Self::Embryonic,
        Self::Fragments,
    ];

    /// The flag that limits the quantity.
    pub const fn flag(self) -> &'static str {
        match self {
            Self::Services => "--max-services",
            Self::ServiceIds => "--max-service-ports",
            Self::Slots => "--max-slots",
            Self::Backends => "--max-backends",
            Self::Members => "--max-members",
            Self::Networks => "--max-networks",
            Self::SourceRanges => "--max-source-ranges",
            Self::Affinity => "--max-affinity",
            Self::SocketConnections => "--max-socket-connections",
            Self::SocketFlows => "--max-socket-flows",
            Self::Conntrack => "--max-conntrack",
            Self::Embryonic => "--max-embryonic",
            Self::Fragments => "--max-fragments",
        }
    }

    /// The name of the map that the quantity fills; the first map if it fills several.
    pub const fn map(self) -> &'static str {
        match self {
            Self::Services => "SERVICES",
            Self::ServiceIds => "GENERATIONS",
            Self::Slots => "SLOTS",
            Self::Backends => "BACKENDS",
            Self::Members => "MEMBERS",
            Self::Networks => "NETWORKS",
            Self::SourceRanges => "SOURCE_RANGES",
            Self::Affinity => "AFFINITY",
            Self::SocketConnections => "SOCKET_CONNECTIONS",
            Self::SocketFlows => "SOCKET_FLOWS",
            Self::Conntrack => "FLOW_BUCKETS_IPV4",
            Self::Embryonic => "EMBRYONIC_IPV4",
            Self::Fragments => "FRAGMENTS",
        }
    }

    /// The size that an agent without a predecessor starts with, unless the limit is lower: enough for a small cluster and a
    /// quiet node, in a few MiB. FRAGMENTS starts at its limit: fragments are remembered for 30 s, so a flood fills any size.
    ///
    /// The sizes of CONNTRACK (half of `Conntrack`) and EMBRYONIC are a little above a power of two. The kernel rounds the number
    /// of hash chains up to the next one, so there are almost twice as many chains as entries. Doubling keeps that ratio.
    pub const fn initial(self) -> u32 {
        match self {
            Self::Services | Self::Backends | Self::Members | Self::Affinity | Self::SocketFlows => 4096,
            Self::ServiceIds => 2048,
            Self::Slots => 32_768,
            Self::SocketConnections => 8192,
            Self::Networks | Self::SourceRanges => 1024,
            Self::Conntrack => 33_750,
            Self::Embryonic => 17_500,
            Self::Fragments => u32::MAX,
        }
    }

    /// How many of the quantity one entry of its [`map`](Self::map) holds.
    pub const fn per_entry(self) -> u32 {
        match self {
            Self::SocketConnections => proxy_common::connection::WAYS,
            _ => 1,
        }
    }

    /// True if the map is an LRU hash, which evicts the least recently used entry when it is full.
    pub const fn is_lru(self) -> bool {
        matches!(self, Self::Affinity | Self::SocketFlows | Self::Embryonic | Self::Fragments)
    }
}
