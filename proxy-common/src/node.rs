//! NODE_ADDRESSES: where in that array this node's own addresses are.

/// Index of NODE_ADDRESSES, an array of [`Address`](crate::Address): this node's IPv4 address, which forwarded
/// packets get as their source. All zeros when it has none.
pub const NODE_IPV4: u32 = 0;
/// Index of this node's IPv6 address, likewise.
pub const NODE_IPV6: u32 = 1;
/// Entries of NODE_ADDRESSES. Those behind the first two are sources for backends that the kernel reaches from another
/// address of this node, such as those behind a tunnel: see [`Backend::source`](crate::Backend::source).
pub const SOURCES: u32 = 256;
