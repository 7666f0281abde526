//! BACKENDS and MEMBERS: where a backend listens, and for which services.

use crate::{addr::Address, pod::pod};

pod! {
    /// Value of BACKENDS, an array indexed by backend id.
    pub struct Backend: 24 {
        /// Where the backend listens.
        pub address: Address,
        /// Its port, host byte order.
        pub port: u16,
        /// [`Backend::VALID`] and its siblings, and [`Backend::source`] times 256.
        pub flags: u16,
        /// Moves whenever the id is given to another address, so that a remembered id can be checked.
        pub generation: u32,
    }

    /// Key of MEMBERS: a backend in one of a service's lists. The value is a `u32` with the
    /// [`List::bit`](crate::List::bit)s of the lists it is in, and [`List::draining`](crate::List::draining) of those
    /// that it has left but serves on.
    #[derive(PartialOrd, Ord, Hash)]
    pub struct Member: 8 {
        /// Service id.
        pub service: u32,
        /// Backend id.
        pub backend: u32,
    }
}

impl Backend {
    /// The entry holds a backend; traffic goes to no other entry.
    pub const VALID: u16 = 1;
    /// The backend is on this node: packets reach it through the stack, with the client's address (S26).
    pub const LOCAL: u16 = 2;
    /// The backend is on this node, but the way to it leads out of the node: its replies bypass the node.
    pub const PAST: u16 = 4;
    /// Where [`Backend::source`] begins.
    pub const SOURCE_SHIFT: u16 = 8;

    /// Whether traffic may go here.
    #[inline(always)]
    pub const fn is_valid(&self) -> bool {
        self.flags & Self::VALID != 0
    }

    /// Index in NODE_ADDRESSES of the source of what is forwarded there; 0: the node's own address of its family.
    #[inline(always)]
    pub const fn source(&self) -> u16 {
        self.flags >> Self::SOURCE_SHIFT
    }

    /// Whether the backend is on this node, and its replies bypass the node.
    #[inline(always)]
    pub const fn is_past(&self) -> bool {
        self.flags & Self::PAST != 0
    }

    /// Whether it is on this node.
    #[inline(always)]
    pub const fn is_local(&self) -> bool {
        self.flags & Self::LOCAL != 0
    }
}
