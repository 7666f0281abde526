//! How long flows live without a packet, by protocol and state.

/// How long an entry lives without a packet: Linux's nf_conntrack names. In jiffies for the programs, in seconds
/// on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// A connection that the backend has not replied to.
    pub tcp_syn_sent: u32,
    /// A connection that the client has not confirmed.
    pub tcp_syn_received: u32,
    /// An established connection.
    pub tcp_established: u32,
    /// A connection that one side has closed, which the other has not acknowledged yet.
    pub tcp_fin_wait: u32,
    /// A connection that one side has closed and the other has not.
    pub tcp_close_wait: u32,
    /// A connection that both sides have closed.
    pub tcp_time_wait: u32,
    /// A connection that was reset.
    pub tcp_close: u32,
    /// UDP that went one way only, or once there and back.
    pub udp: u32,
    /// UDP that goes both ways.
    pub udp_stream: u32,
}

impl Timeouts {
    /// What kube-proxy sets by default, and nf_conntrack's defaults for all others: seconds.
    pub const DEFAULT: Self = Self {
        tcp_syn_sent: 120,
        tcp_syn_received: 60,
        tcp_established: 86_400,
        tcp_fin_wait: 120,
        tcp_close_wait: 3600,
        tcp_time_wait: 120,
        tcp_close: 10,
        udp: 30,
        udp_stream: 120,
    };
}

/// How long an entry of SCTP lives without a packet: Linux's nf_conntrack names, units as in [`Timeouts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssociationTimeouts {
    /// An association that has ended.
    pub closed: u32,
    /// An association that the client has not confirmed.
    pub cookie_wait: u32,
    /// An established association.
    pub established: u32,
    /// An association that the client has closed.
    pub shutdown_sent: u32,
    /// An association that the backend has closed.
    pub shutdown_received: u32,
    /// An association that both sides have closed.
    pub shutdown_ack_sent: u32,
}

impl AssociationTimeouts {
    /// nf_conntrack's defaults, seconds.
    pub const DEFAULT: Self = Self {
        closed: 10,
        cookie_wait: 3,
        established: 210,
        shutdown_sent: 3,
        shutdown_received: 3,
        shutdown_ack_sent: 3,
    };
}
