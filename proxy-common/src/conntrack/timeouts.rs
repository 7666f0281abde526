//! How long flows live without a packet, by protocol and state.

/// Timeouts of TCP and UDP entries without packets, by nf_conntrack's names. Programs have them in jiffies, the command line in
/// seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// A connection that the backend has not replied to.
    pub tcp_syn_sent: u32,
    /// A connection that the client has not confirmed.
    pub tcp_syn_received: u32,
    /// An established connection.
    pub tcp_established: u32,
    /// A connection that one side has closed, before the other has acknowledged that.
    pub tcp_fin_wait: u32,
    /// A connection that one side has closed and the other keeps open.
    pub tcp_close_wait: u32,
    /// A connection that both sides have closed.
    pub tcp_time_wait: u32,
    /// A connection that was reset.
    pub tcp_close: u32,
    /// A UDP flow that is not assured: packets in one direction only, or one exchange.
    pub udp: u32,
    /// An assured UDP flow.
    pub udp_stream: u32,
}

impl Timeouts {
    /// The timeouts that kube-proxy sets by default, and nf_conntrack's defaults for all others, in seconds.
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

/// Timeouts of SCTP entries without packets, by nf_conntrack's names. The units are those of [`Timeouts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssociationTimeouts {
    /// An association that has ended.
    pub closed: u32,
    /// An association that is being set up.
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
