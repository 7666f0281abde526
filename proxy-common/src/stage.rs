//! XDP_STAGES and TC_STAGES: the programs that packets are handed over to.

/// A program that another one hands a packet over to: index of XDP_STAGES and TC_STAGES. What most packets need is
/// in the first program, so that the verifier and the stack have less to bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Stage {
    /// Opens a flow.
    Open = 0,
    /// Looks at ICMP that has come in.
    Icmp = 1,
    /// Turns the packet into a refusal of itself.
    Answer = 2,
    /// Looks at ICMP that is about to leave.
    IcmpEgress = 3,
    /// Sends a packet whose flow is in order now.
    Send = 4,
    /// Writes what a packet has changed of its flow where the other direction finds it.
    Touch = 5,
    /// The same for a packet that is about to leave.
    TouchEgress = 6,
    /// Not a stage of this set of programs: the first program of the set that it follows, while it does. See
    /// [`Phase`](crate::Phase).
    Previous = 7,
    /// The same for a packet that is about to leave.
    PreviousEgress = 8,
    /// Finds the way of a backend's answer where rules of policy routing look at sources.
    Uplink = 9,
    /// The first program of this set, from one that leaves all but SCTP alone.
    Ingress = 10,
    /// The same for a packet that is about to leave.
    Egress = 11,
    /// Sends what a process of this node sends to a Service by SCTP.
    Own = 12,
    /// Gives it the answers.
    OwnAnswer = 13,
}

impl Stage {
    /// Number of stages.
    pub const COUNT: usize = 14;
}
