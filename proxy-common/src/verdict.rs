//! What a program decided about a connect or a packet, and why. The numbers are metric labels: they
//! never change their meaning.

/// The end of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Not ours: leave it as it is.
    Pass,
    /// The destination has been rewritten.
    Translated,
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
}

/// Why a flow is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// The policy is Local and no usable backend is on this node (S16).
    NoLocalBackend,
    /// An address inside a ServiceCIDR that no Service owns (S20).
    UnownedAddress,
    /// The slot or backend that a service names does not exist: the maps are damaged.
    MissingBackend,
}
