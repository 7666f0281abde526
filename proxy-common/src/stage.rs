//! XDP_STAGES and TC_STAGES: the programs that others tail-call.

/// A program that another one tail-calls; index of XDP_STAGES and TC_STAGES. The first program does what most packets need, and
/// stages do the rest, because a program has 512 bytes of stack and the verifier limits its complexity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Stage {
    /// Opens a flow.
    Open = 0,
    /// Handles ICMP that comes in.
    Icmp = 1,
    /// Turns the packet into a refusal and sends it back.
    Reject = 2,
    /// Handles ICMP that leaves.
    IcmpEgress = 3,
    /// Sends a packet whose flow has been found or opened.
    Send = 4,
    /// Writes the changes that a packet has made to its flow into the entry of the other direction.
    Refresh = 5,
    /// Does what [`Stage::Refresh`] does, for a packet that leaves.
    RefreshEgress = 6,
    /// During a succession, the first program of the previous set of programs: see [`Phase`](crate::Phase).
    Previous = 7,
    /// During a succession, the previous set's first program for packets that leave.
    PreviousEgress = 8,
    /// Finds the route of a backend's reply where rules of policy routing look at sources.
    Uplink = 9,
    /// The first program of this set, tail-called by one that handles SCTP only.
    Ingress = 10,
    /// This set's first program for packets that leave, tail-called by one that handles SCTP only.
    Egress = 11,
    /// Forwards SCTP from a process of this node to a Service.
    Own = 12,
    /// Translates the replies to SCTP that [`Stage::Own`] has forwarded.
    OwnReply = 13,
}

impl Stage {
    /// Number of stages.
    pub const COUNT: usize = 14;
}
