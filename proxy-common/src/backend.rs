//! BACKENDS and MEMBERS: where a backend listens, and for which services.

use crate::{addr::Address, pod::pod};

pod! {
    /// Value of BACKENDS, an array indexed by backend id.
    pub struct Backend: 24 {
        /// The address on which the backend listens.
        pub address: Address,
        /// The port on which it listens, host byte order.
        pub port: u16,
        /// The flags [`Backend::VALID`], [`Backend::LOCAL`] and [`Backend::REPLIES_BYPASS`]. The upper eight bits are
        /// [`Backend::source`].
        pub flags: u16,
        /// Changes whenever the id is given to another address, so that a remembered id can be checked.
        pub generation: u32,
    }

    /// Key of MEMBERS: a backend in one of a service's lists. The value is a `u32` of bits: [`List::bit`](crate::List::bit) for
    /// each list that the backend is in, and [`List::draining`](crate::List::draining) for each that it has left while it still
    /// serves.
    #[derive(PartialOrd, Ord, Hash)]
    pub struct Member: 8 {
        /// Service id.
        pub service: u32,
        /// Backend id.
        pub backend: u32,
    }
}

impl Backend {
    /// The entry holds a backend. Traffic goes to no entry without this flag.
    pub const VALID: u16 = 1;
    /// The backend is on this node: packets reach it through the stack, with the client's address (S26).
    pub const LOCAL: u16 = 2;
    /// The backend is on this node, but the route to it leaves the node, so its replies bypass the node (W9).
    pub const REPLIES_BYPASS: u16 = 4;
    /// Number of the lowest bit of [`Backend::source`] in `flags`.
    pub const SOURCE_SHIFT: u16 = 8;

    /// Whether the entry holds a backend.
    #[inline(always)]
    pub const fn is_valid(&self) -> bool {
        self.flags & Self::VALID != 0
    }

    /// Index in NODE_ADDRESSES of the source address of what is forwarded to this backend. 0 is the node's own address.
    #[inline(always)]
    pub const fn source(&self) -> u16 {
        self.flags >> Self::SOURCE_SHIFT
    }

    /// Whether the backend is on this node, and its replies bypass the node.
    #[inline(always)]
    pub const fn replies_bypass(&self) -> bool {
        self.flags & Self::REPLIES_BYPASS != 0
    }

    /// Whether the backend is on this node.
    #[inline(always)]
    pub const fn is_local(&self) -> bool {
        self.flags & Self::LOCAL != 0
    }
}
