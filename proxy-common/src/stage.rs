//! XDP_STAGES and TC_STAGES: the programs that packets are handed over to.

/// A program that another one tail-calls: index of XDP_STAGES and TC_STAGES. The first program has what most packets need, the
/// stages have the rest: a program has 512 bytes of stack, and the verifier a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Stage {
    /// Opens a flow.
    Open = 0,
    /// Handles ICMP that has come in.
    Icmp = 1,
    /// Turns the packet into a refusal, which goes back to its sender.
    Reject = 2,
    /// Handles ICMP that is about to leave.
    IcmpEgress = 3,
    /// Sends a packet whose flow is known now.
    Send = 4,
    /// Writes what a packet has changed of its flow into the entry of the other direction.
    Refresh = 5,
    /// Does what [`Stage::Refresh`] does, for a packet that is about to leave.
    RefreshEgress = 6,
    /// The first program of the set that this one takes the place of, while it does so: see [`Phase`](crate::Phase).
    Previous = 7,
    /// That set's first program for packets that are about to leave.
    PreviousEgress = 8,
    /// Finds the way of a backend's reply where rules of policy routing look at sources.
    Uplink = 9,
    /// The first program of this set, tail-called by one that handles SCTP only.
    Ingress = 10,
    /// This set's first program for packets that are about to leave, tail-called by one that handles SCTP only.
    Egress = 11,
    /// Sends what a process of this node sends to a Service by SCTP.
    Own = 12,
    /// Gives it the replies to that.
    OwnReply = 13,
}

impl Stage {
    /// Number of stages.
    pub const COUNT: usize = 14;
}
