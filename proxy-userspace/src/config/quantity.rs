//! What there may be so many of, each with the flag that limits it.

/// What maps have room for a number of.
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

    /// The flag that limits it.
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

    /// The map that it fills; the first one where it fills several.
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

    /// How many of it an agent without a predecessor makes room for, if the limit is not lower: enough for a small cluster and a
    /// quiet node, in a few MiB. FRAGMENTS has its limit: a packet is remembered for 30 s, so that a flood fills it at any size.
    ///
    /// CONNTRACK has half as many entries as there are buckets, and EMBRYONIC its own: a little more than a power of two, so
    /// that the kernel's hash has almost twice as many chains as entries. Doubling keeps that.
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

    /// How many of it one entry of its [`map`](Self::map) stands for.
    pub const fn per_entry(self) -> u32 {
        match self {
            Self::SocketConnections => proxy_common::connection::WAYS,
            _ => 1,
        }
    }

    /// Whether its map forgets what has not been used for the longest time.
    pub const fn is_forgotten(self) -> bool {
        matches!(self, Self::Affinity | Self::SocketFlows | Self::Embryonic | Self::Fragments)
    }
}
