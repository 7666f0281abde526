//! What a program decided about a connect or a packet, and why. The numbers are metric labels: they
//! never change their meaning.

/// The end of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Not ours: leave it as it is.
    Pass,
    /// The addresses have been rewritten; the stack takes it from here.
    Translated,
    /// The packet was rewritten and leaves by the hook itself.
    Forwarded,
    /// The packet has become an answer to its sender, without being a refusal.
    Answered,
    /// Refuse it so that the client knows at once.
    Reject(RejectReason),
    /// Refuse it silently (packets) or as unreachable (sockets).
    Drop(DropReason),
}

/// Why a flow is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectReason {
    /// No usable backend anywhere (S16).
    NoBackend,
    /// A port that the Service's address does not serve (S20).
    UnservedPort,
    /// A TCP packet in the middle of a connection that nobody knows.
    UnknownConnection,
}

/// Why a flow or packet is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// The policy is Local and no usable backend is on this node (S16).
    NoLocalBackend,
    /// An address inside a ServiceCIDR that no Service owns (S20).
    UnownedAddress,
    /// The slot or backend that a service names does not exist: the maps are damaged.
    MissingBackend,
    /// The client is outside `loadBalancerSourceRanges` (S21).
    SourceRange,
    /// A packet for a frontend whose headers are cut short or contradict themselves (S28).
    Malformed,
    /// An IPv6 packet with an IPv4-mapped address.
    MappedAddress,
    /// A later fragment whose first one has not come (S28).
    FragmentOutOfOrder,
    /// No free source port for the backend.
    SnatPortsExhausted,
    /// This node has no address of the packet's family to send from.
    NoNodeAddress,
    /// The routing table refuses the destination.
    NoRoute,
    /// The packet does not fit the way to the backend and must not be fragmented here.
    TooBig,
    /// The hop limit has run out.
    HopLimit,
    /// A refusal that was not sent because too many were sent lately.
    RejectLimited,
    /// The connection tracking map refused the flow.
    ConntrackFull,
    /// An ICMP error about a flow that nobody knows.
    UnknownFlow,
}
