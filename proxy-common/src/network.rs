//! NETWORKS: prefixes that change what an unserved address means (S19, S20).

use crate::pod::pod;

pod! {
    /// Value of NETWORKS, a longest-prefix trie over [`Address`](crate::Address). The length of an IPv4 prefix counts 96 bits
    /// more.
    pub struct Network: 4 {
        /// [`Network::SERVICE_CIDR`] and its siblings.
        pub kind: u32,
    }
}

impl Network {
    /// A ServiceCIDR: an address in it that no Service owns is unreachable.
    pub const SERVICE_CIDR: Self = Self { kind: 1 };
    /// An address of this node on which node ports are served.
    pub const NODE: Self = Self { kind: 2 };
    /// A loopback address: node ports are served on it to the node's own namespace only.
    pub const LOOPBACK: Self = Self { kind: 3 };
    /// Real addresses inside a ServiceCIDR, or a ClusterIP that this node has itself: nothing is refused there.
    pub const DIRECT: Self = Self { kind: 4 };
}
